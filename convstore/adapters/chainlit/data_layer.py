"""The data layer of Chainlit over a store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from chainlit.context import ChainlitContextException, get_context
from chainlit.data.base import BaseDataLayer
from chainlit.data.storage_clients.base import BaseStorageClient
from chainlit.data.utils import queue_until_user_message
from chainlit.types import Feedback, PageInfo, PaginatedResponse, Pagination
from chainlit.types import ThreadFilter as Filter
from chainlit.user import PersistedUser, User

from convstore.adapters.chainlit import codec
from convstore.adapters.chainlit.codec import ELEMENTS, FAVORITES, STATE
from convstore.adapters.chainlit.feedback import Feedbacks
from convstore.adapters.chainlit.steps import Steps
from convstore.adapters.chainlit.threads import Threads
from convstore.adapters.chainlit.users import Users, here
from convstore.blocking.wrapping import AnyStore, awaited
from convstore.messages import neutral
from convstore.messages.neutral import fitting_id
from convstore.vocabulary.errors import (
    InvalidInputError,
    LegalHoldError,
    NotFoundError,
    RefusedError,
    SessionDeletedError,
    SessionErasedError,
    SessionNotFoundError,
)
from convstore.vocabulary.records import UNSET, Item, ItemInput, JsonObject

if TYPE_CHECKING:
    from chainlit.element import Element, ElementDict
    from chainlit.step import StepDict
    from chainlit.types import ThreadDict


_GONE = (SessionDeletedError, SessionErasedError)
_PAGE = 500
_Verb = TypeVar("_Verb", bound=Callable[..., Any])


class _Queued(Protocol):
    """What Chainlit's decorator is; it has no types of its own."""

    def __call__(self) -> Callable[[_Verb], _Verb]: ...


_queued: _Queued = queue_until_user_message


class ConvstoreDataLayer(BaseDataLayer):
    """A `BaseDataLayer` of Chainlit over the sessions of a store.

    Closing it closes the storage provider, not the store.

    Args:
        store: An open `convstore.Store`, of the tenant that is meant, or one of
            `convstore.blocking.open_store`, which serves any event loop.
        storage_provider: Where files go; none is ever in the database. Without it only
            elements are kept that have a URL of their own.
        keep_turns: Whether messages become turns. False where the agent's own framework
            keeps the conversation in the same session: then Chainlit's messages are
            shown and judged, and said once.
        archive_deleted: Whether what a user deletes is archived first, from where it
            can be restored; False destroys it without a copy.
    """

    def __init__(
        self,
        store: AnyStore,
        storage_provider: BaseStorageClient | None = None,
        *,
        keep_turns: bool = True,
        archive_deleted: bool = True,
    ) -> None:
        store = awaited(store)
        self.storage_provider = storage_provider
        self._store = store
        self._archive_deleted = archive_deleted
        self._users = Users(store)
        self._steps = Steps(store, keep_turns=keep_turns)
        self._feedbacks = Feedbacks(store, self._steps)
        self._threads = Threads(
            store, self._users, self._steps, self._feedbacks, keep_turns=keep_turns
        )

    # Users

    async def get_user(self, identifier: str) -> PersistedUser | None:
        """The user who logs in with an identifier, if they did before."""
        return await self._users.find(identifier)

    async def create_user(self, user: User) -> PersistedUser:
        """Store a user, or the metadata of one who is there. The id is always the same
        for one identifier."""
        return await self._users.keep(user)

    # Threads

    async def get_thread_author(self, thread_id: str) -> str:
        """The identifier of whoever the thread belongs to.

        Raises:
            ValueError: There is no such thread, or it is nobody's.
        """
        session = await self._store.sessions.find(fitting_id(thread_id))
        if session is None or session.user_id is None:
            raise ValueError("Author not found for the thread")
        return await self._users.identifier(session.user_id)

    async def get_thread(self, thread_id: str) -> ThreadDict | None:
        """A thread with its steps, elements and feedback; archived ones are read where
        they lie. None where there is none."""
        thread = await self._threads.get(thread_id)
        if thread is not None:
            for element in thread["elements"]:
                await self._sign(element)
        return cast("ThreadDict | None", thread)

    async def list_threads(
        self, pagination: Pagination, filters: Filter
    ) -> PaginatedResponse[ThreadDict]:
        """Threads of a user, newest activity first, without their steps.

        Raises:
            ValueError: No user is named.
        """
        if not filters.userId:
            raise ValueError("userId is required")
        threads, after = await self._threads.page(
            filters.userId,
            search=filters.search,
            feedback=filters.feedback,
            first=pagination.first,
            cursor=pagination.cursor,
        )
        info = PageInfo(
            hasNextPage=after is not None,
            startCursor=pagination.cursor,
            endCursor=after,
        )
        return PaginatedResponse(pageInfo=info, data=cast("list[ThreadDict]", threads))

    async def update_thread(
        self,
        thread_id: str,
        name: str | None = None,
        user_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        tags: list[str] | None = None,
    ) -> None:
        """Change what is given of a thread, and make it if it is not there. Metadata is
        merged by its first keys; None removes one. A thread that was deleted stays so.

        Raises:
            InvalidInputError: No user has this id.
            SessionNotFoundError: The thread is another user's.
        """
        owner = None if user_id is None else await self._users.owner(user_id)
        if name is None and isinstance((metadata or {}).get("name"), str):
            name = (metadata or {})["name"]
        state: JsonObject = {"metadata": codec.metadata_patch(metadata or {})}
        session_id = fitting_id(thread_id)
        if neutral.is_hashed(session_id):
            state["id"] = json.dumps(thread_id)
        try:
            await self._store.sessions.apply(
                session_id,
                create=True,
                user_id=owner,
                title=UNSET if name is None else codec.title_of(name),
                adapter_state={STATE: state},
            )
            if tags is not None:
                given = codec.tags_of(tags)
                await self._store.sessions.update(session_id, tags=given)
        except _GONE:
            return

    async def delete_thread(self, thread_id: str) -> None:
        """Delete a thread with its files, steps, elements and feedback. Nothing happens
        where there is none.

        Raises:
            LegalHoldError: It is under legal hold; nothing was destroyed.
        """
        session_id = fitting_id(thread_id)
        try:
            await self._refuse_held(session_id)
            for element in await self._steps.all(session_id, ELEMENTS):
                await self._discard(element)
            await self._store.sessions.delete(session_id, archive=self._archive_deleted)
        except (SessionNotFoundError, *_GONE):
            return

    # Steps

    @_queued()
    async def create_step(self, step_dict: Mapping[str, Any]) -> None:
        """Store a step, and the turn that it is if it is a message: in one commit.

        Raises:
            SessionDeletedError, SessionErasedError: The thread is gone, and stays so.
            SessionNotFoundError: The thread is another user's.
        """
        await self._steps.keep(step_dict, here(), is_new=True)

    @_queued()
    async def update_step(self, step_dict: Mapping[str, Any]) -> None:
        """As `create_step`. A message that says something else now is a turn beside the
        one that it was, on the branch that is active from then on."""
        await self._steps.keep(step_dict, here())

    @_queued()
    async def delete_step(self, step_id: str) -> None:
        """Destroy a step with its elements and their files. The turn that it was stays
        on a branch that is no longer active.

        Raises:
            LegalHoldError: The thread is under legal hold; nothing was changed.
        """
        key = fitting_id(step_id)
        session_id = await self._session_of(key)
        if session_id is None:
            return
        try:
            await self._refuse_held(session_id)
            found = [
                element
                for element in await self._steps.all(session_id, ELEMENTS)
                if fitting_id(codec.native(element.value).get("forId")) == key
            ]
            for element in found:
                await self._discard(element)
            names = [element.key for element in found]
            await self._steps.remove(session_id, key, names, ELEMENTS)
        except (SessionNotFoundError, *_GONE):
            return

    async def get_favorite_steps(self, user_id: str) -> list[StepDict]:
        """The steps of a user that are marked as favourites, newest first."""
        owner = await self._users.owner(user_id)
        steps = []
        cursor: str | None = None
        while True:
            page = await self._store.items.list(
                FAVORITES, user_id=owner, limit=_PAGE, cursor=cursor
            )
            for favorite in page.items:
                try:
                    item = await self._steps.find(
                        favorite.value["session_id"], favorite.key
                    )
                except (NotFoundError, RefusedError):
                    continue  # its thread is gone
                if item is not None:
                    steps.append(codec.native(item.value))
            if (cursor := page.next_cursor) is None:
                break
        steps.sort(key=lambda step: str(step.get("createdAt")), reverse=True)
        return cast("list[StepDict]", steps)

    # Feedback

    async def upsert_feedback(self, feedback: Feedback) -> str:
        """Record what a user thinks of a step, in place of what they thought before;
        gives the id by which it is taken back.

        Raises:
            InvalidInputError: It names no thread, and none has a message of this id.
        """
        thread_id = feedback.threadId or await self._session_of(
            fitting_id(feedback.forId)
        )
        if thread_id is None:
            raise InvalidInputError("threadId", "is missing")
        return await self._feedbacks.give(
            thread_id, feedback.forId, feedback.value, feedback.comment
        )

    async def delete_feedback(self, feedback_id: str) -> bool:
        """Retract what a user thought of a step; whether that was anything."""
        judged = codec.judged_by(feedback_id)
        return judged is not None and await self._feedbacks.take_back(*judged)

    # Elements

    @_queued()
    async def create_element(self, element: Element) -> None:
        """Store what an element is, and its file where files go."""
        if not element.for_id:
            return
        told = dict(element.to_dict())
        told.pop("path", None)
        if element.path or element.content or not element.url:
            if self.storage_provider is None:
                return
            stored = await self.storage_provider.upload_file(
                object_key=_object_key(element),
                data=await asyncio.to_thread(_content, element),
                mime=element.mime or "application/octet-stream",
                overwrite=True,
            )
            if not stored:
                raise ValueError("the storage provider kept no file")
            told |= {"url": stored.get("url"), "objectKey": stored.get("object_key")}
        put = ItemInput(ELEMENTS, fitting_id(element.id), codec.kept(told), inside=True)
        await self._store.sessions.apply(
            fitting_id(element.thread_id), create=True, user_id=here(), items=[put]
        )

    async def get_element(self, thread_id: str, element_id: str) -> ElementDict | None:
        """An element of a thread, with a URL that is good now."""
        try:
            item = await self._store.items.find(
                ELEMENTS, fitting_id(element_id), session_id=fitting_id(thread_id)
            )
        except (NotFoundError, RefusedError):
            return None
        if item is None:
            return None
        element = codec.native(item.value)
        await self._sign(element)
        return cast("ElementDict", element)

    @_queued()
    async def delete_element(
        self, element_id: str, thread_id: str | None = None
    ) -> None:
        """Destroy an element and its file. Without `thread_id` it is one of the thread
        that is open.

        Raises:
            LegalHoldError: The thread is under legal hold; nothing was destroyed.
        """
        thread_id = thread_id or _open_thread()
        if thread_id is None:
            return
        session_id, key = fitting_id(thread_id), fitting_id(element_id)
        try:
            item = await self._store.items.find(ELEMENTS, key, session_id=session_id)
            if item is not None:
                await self._refuse_held(session_id)
                await self._discard(item)
                await self._store.items.delete(ELEMENTS, key, session_id=session_id)
        except (SessionNotFoundError, *_GONE):
            return

    # Both

    async def build_debug_url(self) -> str:
        """There is none."""
        return ""

    async def close(self) -> None:
        """Close the storage provider."""
        if self.storage_provider is not None:
            await self.storage_provider.close()

    async def _session_of(self, key: str) -> str | None:
        """The session that a step is in: of the open thread, or where it is a message.

        Chainlit names a step alone.
        """
        thread_id = _open_thread()
        if thread_id is not None:
            try:
                if await self._steps.find(fitting_id(thread_id), key) is not None:
                    return fitting_id(thread_id)
            except (NotFoundError, RefusedError):
                return None
        page = await self._store.turns.find_all(
            external_id=key, user_id=here(), limit=1
        )
        return page.items[0].session_id if page.items else None

    async def _refuse_held(self, session_id: str) -> None:
        """Refuse before the first file goes, as these lie outside the store."""
        session = await self._store.sessions.find(session_id)
        if session is not None and session.hold_count:
            raise LegalHoldError((session_id,))

    async def _sign(self, element: JsonObject) -> None:
        key = element.get("objectKey")
        if self.storage_provider is not None and key:
            element["url"] = await self.storage_provider.get_read_url(object_key=key)

    async def _discard(self, element: Item) -> None:
        key = codec.native(element.value).get("objectKey")
        if self.storage_provider is not None and key:
            await self.storage_provider.delete_file(object_key=key)


def _object_key(element: Element) -> str:
    owner = here()
    user = "unknown" if owner is None else codec.user_id_of(owner)
    name = Path(element.name or "").name
    return "/".join(part for part in (user, element.id, name) if part)


def _content(element: Element) -> bytes | str:
    if element.path:
        return Path(element.path).read_bytes()
    if element.content:
        content: bytes | str = element.content
        return content
    raise ValueError("Element url, path or content must be provided")


def _open_thread() -> str | None:
    try:
        return str(get_context().session.thread_id)
    except ChainlitContextException:
        return None
