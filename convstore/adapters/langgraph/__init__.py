"""LangGraph: checkpoints of its graphs, and their memory, in the store.

Needs the extra `langgraph`.
"""

from convstore.vocabulary.extras import needed

with needed("langgraph", "the adapter of LangGraph"):
    from convstore.adapters.langgraph.memory import ConvstoreMemory
    from convstore.adapters.langgraph.saver import ConvstoreSaver

__all__ = ["ConvstoreMemory", "ConvstoreSaver"]


def __dir__() -> list[str]:
    return sorted(__all__)
