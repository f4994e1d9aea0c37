"""The cases of the SDK's own tests that no other session can pass, and why."""

from __future__ import annotations

_SCHEMA = "opens the other store's schema by SQL, or puts broken rows into it"
_CONNECTIONS = "looks at, or patches, the connections of the other store"
_IS_SQLITE = "the wrapper asks whether the session is the SDK's own"

_REASONS = {
    _CONNECTIONS: """
        test_session.py::test_sqlite_session_close_closes_worker_thread_connections
        test_session.py::test_sqlite_session_reaps_connections_from_exited_worker_threads
        test_session.py::test_sqlite_session_closes_retired_connections_before_the_next_allocation
        test_session.py::test_sqlite_session_keeps_connections_of_live_worker_threads
        test_session.py::test_sqlite_session_file_lock_is_shared_across_instances
        test_session.py::test_sqlite_session_failed_add_items_releases_write_lock
        test_session.py::test_sqlite_session_failed_clear_session_rolls_back
        test_session.py::test_sqlite_session_failed_pop_item_releases_write_lock
        test_session.py::test_sqlite_session_rollback_failure_evicts_connection
        test_session.py::test_sqlite_session_close_retries_quarantined_connection
        test_session.py::test_sqlite_session_post_commit_cancellation_propagates_after_known_outcome[add]
        test_session.py::test_sqlite_session_post_commit_cancellation_propagates_after_known_outcome[pop]
        test_session.py::test_sqlite_session_post_commit_cancellation_propagates_after_known_outcome[clear]
        test_openai_responses_compaction_session.py::test_settled_pop_failure_invalidates_response_chain[cancelled]
        test_openai_responses_compaction_session.py::test_settled_pop_failure_invalidates_response_chain[error]
        test_openai_responses_compaction_session.py::test_settled_clear_failure_invalidates_response_chain[cancelled]
        test_openai_responses_compaction_session.py::test_settled_clear_failure_invalidates_response_chain[error]
        test_run_impl_resume_paths.py::test_handoff_resume_after_cancelled_compaction_commits[run-live]
        test_run_impl_resume_paths.py::test_handoff_resume_after_cancelled_compaction_commits[run-json]
        test_run_impl_resume_paths.py::test_handoff_resume_after_cancelled_compaction_commits[streamed-live]
        test_run_impl_resume_paths.py::test_handoff_resume_after_cancelled_compaction_commits[streamed-json]
        test_compaction_suffix.py::test_cancelled_suffix_transaction_settles_before_newer_append[sqlite]
    """,
    _SCHEMA: """
        test_session.py::test_sqlite_session_pop_item_skips_corrupt_most_recent
        test_session.py::test_sqlite_session_pop_item_returns_none_after_dropping_only_corrupt_rows
        test_session.py::test_sqlite_session_get_items_limit_skips_corrupt_newest_rows
        test_session.py::test_sqlite_session_get_items_session_settings_limit_skips_corrupt_rows
        test_compaction_suffix.py::test_suffix_transaction_rolls_back_failed_insert[sqlite]
        test_compaction_suffix.py::test_failed_encrypted_suffix_transaction_preserves_original_tokens[sqlite-False]
        test_compaction_suffix.py::test_failed_encrypted_suffix_transaction_preserves_original_tokens[sqlite-True]
    """,
    _IS_SQLITE: """
        test_encrypt_session.py::test_encrypted_pop_wrong_key_preserves_recoverable_history[False]
        test_encrypt_session.py::test_encrypted_pop_wrong_key_preserves_recoverable_history[True]
        test_encrypt_session.py::test_encrypted_pop_rechecks_authentication_after_expired_tail
        test_encrypt_session.py::test_encrypted_pop_authentication_is_atomic_with_concurrent_mutations[append]
        test_encrypt_session.py::test_encrypted_pop_authentication_is_atomic_with_concurrent_mutations[clear]
        test_encrypt_session.py::test_encrypted_pop_wrong_key_preserves_row_identity
        test_encrypt_session.py::test_encrypted_pop_cancellation_waits_for_authentication_rollback
    """,
}
KNOWN = {name: why for why, names in _REASONS.items() for name in names.split()}
