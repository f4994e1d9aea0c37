SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.archive_entries (
    tenant_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    session_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    segment_id character varying(64) NOT NULL,
    ordinal bigint NOT NULL,
    "offset" bigint NOT NULL,
    length bigint NOT NULL,
    raw_length bigint NOT NULL,
    sha256 character varying(64) NOT NULL,
    session_version bigint NOT NULL,
    turn_count bigint NOT NULL,
    state character varying(16) NOT NULL,
    created_at bigint NOT NULL
);
COMMENT ON TABLE public.archive_entries IS 'One session at one version inside one segment.';
COMMENT ON COLUMN public.archive_entries.tenant_id IS 'the wall';
COMMENT ON COLUMN public.archive_entries.session_id IS 'within the tenant';
COMMENT ON COLUMN public.archive_entries.segment_id IS 'where';
COMMENT ON COLUMN public.archive_entries.ordinal IS 'place in the segment, from 0';
COMMENT ON COLUMN public.archive_entries."offset" IS 'first byte of the frame';
COMMENT ON COLUMN public.archive_entries.length IS 'bytes of the frame';
COMMENT ON COLUMN public.archive_entries.raw_length IS 'bytes of the document';
COMMENT ON COLUMN public.archive_entries.sha256 IS 'of the document';
COMMENT ON COLUMN public.archive_entries.session_version IS 'that was archived';
COMMENT ON COLUMN public.archive_entries.turn_count IS 'turns in the document';
COMMENT ON COLUMN public.archive_entries.state IS 'sealed, committed, restored, stale or erased';
COMMENT ON COLUMN public.archive_entries.created_at IS 'when it was sealed';
CREATE TABLE public.archive_folder (
    id integer NOT NULL,
    folder_id character varying(64) NOT NULL
);
COMMENT ON TABLE public.archive_folder IS 'Which archive folder is this database''s, once it has one.';
COMMENT ON COLUMN public.archive_folder.id IS 'always 1';
COMMENT ON COLUMN public.archive_folder.folder_id IS 'as in the folder''s mark';
CREATE TABLE public.archive_segments (
    segment_id character varying(64) NOT NULL,
    state character varying(16) NOT NULL,
    key character varying(255) NOT NULL,
    size_bytes bigint NOT NULL,
    raw_bytes bigint NOT NULL,
    sha256 character varying(64) NOT NULL,
    entry_count bigint NOT NULL,
    holder character varying(64),
    problem character varying(255),
    created_at bigint NOT NULL,
    sealed_at bigint,
    verified_at bigint
);
COMMENT ON TABLE public.archive_segments IS 'One immutable archive file of many sessions.';
COMMENT ON COLUMN public.archive_segments.segment_id IS 'random';
COMMENT ON COLUMN public.archive_segments.state IS 'writing, sealed, quarantined, deleting or deleted';
COMMENT ON COLUMN public.archive_segments.key IS 'file, relative to the archive';
COMMENT ON COLUMN public.archive_segments.size_bytes IS 'compressed';
COMMENT ON COLUMN public.archive_segments.raw_bytes IS 'uncompressed';
COMMENT ON COLUMN public.archive_segments.sha256 IS 'of the file';
COMMENT ON COLUMN public.archive_segments.entry_count IS 'sessions in it';
COMMENT ON COLUMN public.archive_segments.holder IS 'who writes it';
COMMENT ON COLUMN public.archive_segments.problem IS 'what verification found';
COMMENT ON COLUMN public.archive_segments.created_at IS 'when it was begun';
COMMENT ON COLUMN public.archive_segments.sealed_at IS 'when it became final';
COMMENT ON COLUMN public.archive_segments.verified_at IS 'when every frame was last read back';
CREATE TABLE public.cost_totals (
    tenant_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    user_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    cost_micros bigint NOT NULL
);
COMMENT ON TABLE public.cost_totals IS 'What each user has cost; outlives the sessions, for budgets.';
COMMENT ON COLUMN public.cost_totals.tenant_id IS 'the wall';
COMMENT ON COLUMN public.cost_totals.user_id IS 'owner; empty for nobody''s sessions';
COMMENT ON COLUMN public.cost_totals.cost_micros IS 'of all sessions ever';
CREATE TABLE public.erasures (
    tenant_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    erasure_id character varying(64) NOT NULL,
    subject character varying(16) NOT NULL,
    subject_hash character varying(64) NOT NULL,
    salt character varying(64) NOT NULL,
    session_ids json NOT NULL,
    state character varying(16) NOT NULL,
    receipt json NOT NULL,
    requested_at bigint NOT NULL,
    done_at bigint
);
COMMENT ON TABLE public.erasures IS 'Who was erased, without saying who: the proof and the means to repeat it.';
COMMENT ON COLUMN public.erasures.tenant_id IS 'the wall';
COMMENT ON COLUMN public.erasures.erasure_id IS 'of the receipt';
COMMENT ON COLUMN public.erasures.subject IS 'user or session';
COMMENT ON COLUMN public.erasures.subject_hash IS 'SHA-256 of the id with this receipt''s salt';
COMMENT ON COLUMN public.erasures.salt IS 'random';
COMMENT ON COLUMN public.erasures.session_ids IS 'ids refused for ever';
COMMENT ON COLUMN public.erasures.state IS 'begun or done';
COMMENT ON COLUMN public.erasures.receipt IS 'what was destroyed; no content';
COMMENT ON COLUMN public.erasures.requested_at IS 'when';
COMMENT ON COLUMN public.erasures.done_at IS 'when nothing was left';
CREATE TABLE public.graph_states (
    tenant_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    session_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    namespace character varying(255) NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    state json NOT NULL,
    turn_seq bigint,
    metadata json NOT NULL,
    external_id character varying(255) COLLATE pg_catalog."C",
    created_at bigint NOT NULL,
    digest bytea NOT NULL
);
COMMENT ON TABLE public.graph_states IS 'Snapshots of the reasoning graph, every version.';
COMMENT ON COLUMN public.graph_states.tenant_id IS 'the wall';
COMMENT ON COLUMN public.graph_states.session_id IS 'within the tenant';
COMMENT ON COLUMN public.graph_states.namespace IS 'which graph of the session';
COMMENT ON COLUMN public.graph_states.version IS 'from 1, no gaps';
COMMENT ON COLUMN public.graph_states.state IS 'the snapshot';
COMMENT ON COLUMN public.graph_states.turn_seq IS 'the turn that made it';
COMMENT ON COLUMN public.graph_states.metadata IS 'object, the application''s own';
COMMENT ON COLUMN public.graph_states.external_id IS 'the caller''s own id: same id, same effect';
COMMENT ON COLUMN public.graph_states.created_at IS 'when it was put';
COMMENT ON COLUMN public.graph_states.digest IS 'SHA-256 of the content columns';
CREATE TABLE public.interactions (
    tenant_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    session_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    seq bigint NOT NULL,
    action character varying(255) NOT NULL,
    turn_seq bigint,
    node_id character varying(255) COLLATE pg_catalog."C",
    choice json,
    actor_id character varying(255) COLLATE pg_catalog."C",
    actor_kind character varying(16) NOT NULL,
    feedback character varying(255),
    score double precision,
    reason text,
    content text,
    shown json,
    surface character varying(255),
    supersedes bigint,
    metadata json NOT NULL,
    external_id character varying(255) COLLATE pg_catalog."C",
    created_at bigint NOT NULL,
    target_hash bytea NOT NULL,
    digest bytea NOT NULL
);
COMMENT ON TABLE public.interactions IS 'One act upon a session, turn, node or choice. Append-only.';
COMMENT ON COLUMN public.interactions.tenant_id IS 'the wall';
COMMENT ON COLUMN public.interactions.session_id IS 'within the tenant';
COMMENT ON COLUMN public.interactions.seq IS 'from 1, no gaps';
COMMENT ON COLUMN public.interactions.action IS 'feedback, prune, choose, retract, …';
COMMENT ON COLUMN public.interactions.turn_seq IS 'target turn';
COMMENT ON COLUMN public.interactions.node_id IS 'target node of the reasoning graph';
COMMENT ON COLUMN public.interactions.choice IS 'target choice: chosen and rejected turns';
COMMENT ON COLUMN public.interactions.actor_id IS 'who; null is the session''s unnamed actor';
COMMENT ON COLUMN public.interactions.actor_kind IS 'human, model or code';
COMMENT ON COLUMN public.interactions.feedback IS 'label, any word';
COMMENT ON COLUMN public.interactions.score IS 'any finite number';
COMMENT ON COLUMN public.interactions.reason IS 'why';
COMMENT ON COLUMN public.interactions.content IS 'comment, correction or injected text';
COMMENT ON COLUMN public.interactions.shown IS 'what else was on screen, and where';
COMMENT ON COLUMN public.interactions.surface IS 'which part of the product';
COMMENT ON COLUMN public.interactions.supersedes IS 'an earlier interaction that no longer counts';
COMMENT ON COLUMN public.interactions.metadata IS 'object, the application''s own';
COMMENT ON COLUMN public.interactions.external_id IS 'the caller''s own id: same id, same effect';
COMMENT ON COLUMN public.interactions.created_at IS 'when it was done';
COMMENT ON COLUMN public.interactions.target_hash IS 'of actor, action and target';
COMMENT ON COLUMN public.interactions.digest IS 'SHA-256 of the content columns';
CREATE TABLE public.leases (
    name character varying(64) NOT NULL,
    holder character varying(64) NOT NULL,
    epoch bigint NOT NULL,
    expires_at bigint NOT NULL
);
COMMENT ON TABLE public.leases IS 'A worker''s time-limited right to run a job.';
COMMENT ON COLUMN public.leases.name IS 'of the job';
COMMENT ON COLUMN public.leases.holder IS 'worker';
COMMENT ON COLUMN public.leases.epoch IS 'grows with every holder';
COMMENT ON COLUMN public.leases.expires_at IS 'the right ends here';
CREATE TABLE public.legal_holds (
    tenant_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    session_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    number bigint NOT NULL,
    reason text NOT NULL,
    placed_by character varying(255) COLLATE pg_catalog."C",
    placed_at bigint NOT NULL,
    released_by character varying(255) COLLATE pg_catalog."C",
    released_at bigint
);
COMMENT ON TABLE public.legal_holds IS 'Why a session must not be destroyed; kept after release.';
COMMENT ON COLUMN public.legal_holds.tenant_id IS 'the wall';
COMMENT ON COLUMN public.legal_holds.session_id IS 'within the tenant';
COMMENT ON COLUMN public.legal_holds.number IS 'from 1';
COMMENT ON COLUMN public.legal_holds.reason IS 'case or order';
COMMENT ON COLUMN public.legal_holds.placed_by IS 'actor';
COMMENT ON COLUMN public.legal_holds.placed_at IS 'in force from';
COMMENT ON COLUMN public.legal_holds.released_by IS 'actor';
COMMENT ON COLUMN public.legal_holds.released_at IS 'in force until; null while it holds';
CREATE TABLE public.prefix_entries (
    tenant_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    prefix_key character varying(64) NOT NULL,
    upstream_session_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    instance character varying(255) COLLATE pg_catalog."C",
    expires_at bigint NOT NULL,
    used_at bigint NOT NULL
);
COMMENT ON TABLE public.prefix_entries IS 'Which upstream session knows a conversation; may be emptied at any time.';
COMMENT ON COLUMN public.prefix_entries.tenant_id IS 'the wall';
COMMENT ON COLUMN public.prefix_entries.prefix_key IS 'hash of scope and inputs';
COMMENT ON COLUMN public.prefix_entries.upstream_session_id IS 'who knows the prefix';
COMMENT ON COLUMN public.prefix_entries.instance IS 'pool member that serves it';
COMMENT ON COLUMN public.prefix_entries.expires_at IS 'not used from here on';
COMMENT ON COLUMN public.prefix_entries.used_at IS 'last use, to the second; the least recent goes first';
CREATE TABLE public.retention_runs (
    run_id character varying(64) NOT NULL,
    started_at bigint NOT NULL,
    finished_at bigint,
    archived bigint NOT NULL,
    purged bigint NOT NULL,
    failed bigint NOT NULL,
    problem character varying(255)
);
COMMENT ON TABLE public.retention_runs IS 'What retention did, for stats.';
COMMENT ON COLUMN public.retention_runs.run_id IS 'time-ordered';
COMMENT ON COLUMN public.retention_runs.started_at IS 'when';
COMMENT ON COLUMN public.retention_runs.finished_at IS 'null while it runs, or when it died';
COMMENT ON COLUMN public.retention_runs.archived IS 'sessions written to segments';
COMMENT ON COLUMN public.retention_runs.purged IS 'sessions whose rows went';
COMMENT ON COLUMN public.retention_runs.failed IS 'sessions set aside';
COMMENT ON COLUMN public.retention_runs.problem IS 'error code that stopped it';
CREATE TABLE public.schema_info (
    id integer NOT NULL,
    oldest_code character varying(32) NOT NULL
);
COMMENT ON TABLE public.schema_info IS 'Beside alembic''s own table: which older code still works here.';
COMMENT ON COLUMN public.schema_info.id IS 'always 1';
COMMENT ON COLUMN public.schema_info.oldest_code IS 'oldest revision whose code may open this';
CREATE TABLE public.session_ledger (
    tenant_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    session_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    user_id character varying(255) COLLATE pg_catalog."C",
    model character varying(255),
    tier character varying(255),
    user_explicit boolean NOT NULL,
    request_count bigint NOT NULL,
    strikes bigint NOT NULL,
    recent_hashes json NOT NULL,
    cost_micros bigint NOT NULL,
    cache_provider character varying(255),
    cache_sticky_until bigint,
    created_at bigint NOT NULL,
    last_used_at bigint NOT NULL
);
COMMENT ON TABLE public.session_ledger IS 'Routing, escalation and cost of one session.';
COMMENT ON COLUMN public.session_ledger.tenant_id IS 'the wall';
COMMENT ON COLUMN public.session_ledger.session_id IS 'within the tenant';
COMMENT ON COLUMN public.session_ledger.user_id IS 'owner, for totals';
COMMENT ON COLUMN public.session_ledger.model IS 'pinned model';
COMMENT ON COLUMN public.session_ledger.tier IS 'pinned tier';
COMMENT ON COLUMN public.session_ledger.user_explicit IS 'the user chose: leave it alone';
COMMENT ON COLUMN public.session_ledger.request_count IS 'requests seen';
COMMENT ON COLUMN public.session_ledger.strikes IS 'identical requests in a row';
COMMENT ON COLUMN public.session_ledger.recent_hashes IS 'sliding window of request hashes';
COMMENT ON COLUMN public.session_ledger.cost_micros IS 'millionths of a US dollar';
COMMENT ON COLUMN public.session_ledger.cache_provider IS 'provider whose prefix cache is warm';
COMMENT ON COLUMN public.session_ledger.cache_sticky_until IS 'when that cache goes cold';
COMMENT ON COLUMN public.session_ledger.created_at IS 'first use';
COMMENT ON COLUMN public.session_ledger.last_used_at IS 'the sliding timeout counts from here';
CREATE TABLE public.session_metadata (
    tenant_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    session_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    key character varying(255) NOT NULL COLLATE pg_catalog."C",
    value character varying(255) NOT NULL COLLATE pg_catalog."C"
);
COMMENT ON TABLE public.session_metadata IS 'Scalar metadata by key, so that a filter needs no path built from input.';
COMMENT ON COLUMN public.session_metadata.tenant_id IS 'the wall';
COMMENT ON COLUMN public.session_metadata.session_id IS 'within the tenant';
COMMENT ON COLUMN public.session_metadata.key IS 'a top-level key of sessions.metadata';
COMMENT ON COLUMN public.session_metadata.value IS 'its scalar value as JSON text';
CREATE TABLE public.sessions (
    tenant_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    session_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    state character varying(16) NOT NULL,
    version bigint NOT NULL,
    user_id character varying(255) COLLATE pg_catalog."C",
    title text,
    language character varying(255),
    tags json NOT NULL,
    metadata json NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    last_activity_at bigint NOT NULL,
    expires_at bigint,
    head_seq bigint,
    branched boolean NOT NULL,
    turn_count bigint NOT NULL,
    interaction_count bigint NOT NULL,
    graph_state_count bigint NOT NULL,
    feedback_counts json NOT NULL,
    current_slots json NOT NULL,
    current_template_id character varying(255),
    hold_count bigint NOT NULL,
    archived_at bigint,
    segment_id character varying(64),
    problem character varying(64)
);
COMMENT ON TABLE public.sessions IS 'One conversation; after a purge a stub that remembers its state.';
COMMENT ON COLUMN public.sessions.tenant_id IS 'the wall';
COMMENT ON COLUMN public.sessions.session_id IS 'within the tenant';
COMMENT ON COLUMN public.sessions.state IS 'active, archived, deleted or erased';
COMMENT ON COLUMN public.sessions.version IS 'raised by every change';
COMMENT ON COLUMN public.sessions.user_id IS 'owner; a session of another user is not found';
COMMENT ON COLUMN public.sessions.title IS 'set by the caller or from the first user turn';
COMMENT ON COLUMN public.sessions.language IS 'of the latest turn that said so';
COMMENT ON COLUMN public.sessions.tags IS 'list of text';
COMMENT ON COLUMN public.sessions.metadata IS 'object, the application''s own';
COMMENT ON COLUMN public.sessions.created_at IS 'when the session began';
COMMENT ON COLUMN public.sessions.updated_at IS 'when the row last changed';
COMMENT ON COLUMN public.sessions.last_activity_at IS 'only grows; decides order of lists and staleness';
COMMENT ON COLUMN public.sessions.expires_at IS 'the session''s own expiry';
COMMENT ON COLUMN public.sessions.head_seq IS 'tip of the active branch; null when empty';
COMMENT ON COLUMN public.sessions.branched IS 'false: every turn follows the one before';
COMMENT ON COLUMN public.sessions.turn_count IS 'also the highest seq';
COMMENT ON COLUMN public.sessions.interaction_count IS 'also the highest seq';
COMMENT ON COLUMN public.sessions.graph_state_count IS 'all namespaces and versions';
COMMENT ON COLUMN public.sessions.feedback_counts IS 'label to count, effective feedback';
COMMENT ON COLUMN public.sessions.current_slots IS 'merged along the active branch';
COMMENT ON COLUMN public.sessions.current_template_id IS 'of the latest user turn that has one';
COMMENT ON COLUMN public.sessions.hold_count IS 'legal holds in force';
COMMENT ON COLUMN public.sessions.archived_at IS 'when the rows were purged';
COMMENT ON COLUMN public.sessions.segment_id IS 'the segment that holds the archived session';
COMMENT ON COLUMN public.sessions.problem IS 'why archiving failed last time; an error code';
CREATE TABLE public.tool_sets (
    tenant_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    session_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    tools_hash character varying(64) NOT NULL,
    tools json NOT NULL
);
COMMENT ON TABLE public.tool_sets IS 'Tool definitions offered to the model, each distinct set once.';
COMMENT ON COLUMN public.tool_sets.tenant_id IS 'the wall';
COMMENT ON COLUMN public.tool_sets.session_id IS 'within the tenant';
COMMENT ON COLUMN public.tool_sets.tools_hash IS 'SHA-256 of the JSON text';
COMMENT ON COLUMN public.tool_sets.tools IS 'tool definitions, in stored order';
CREATE TABLE public.turns (
    tenant_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    session_id character varying(255) NOT NULL COLLATE pg_catalog."C",
    seq bigint NOT NULL,
    parent_seq bigint,
    role character varying(255) NOT NULL,
    content text,
    parts json,
    name character varying(255),
    tool_call_id character varying(255),
    model character varying(255),
    finish_reason character varying(255),
    tokens_in bigint,
    tokens_out bigint,
    cost_micros bigint,
    language character varying(255),
    resolved_question text,
    template_id character varying(255),
    slots json,
    results json,
    tools_hash character varying(64),
    metadata json NOT NULL,
    external_id character varying(255) COLLATE pg_catalog."C",
    created_at bigint NOT NULL,
    digest bytea NOT NULL
);
COMMENT ON TABLE public.turns IS 'One message by one author; never changed once committed.';
COMMENT ON COLUMN public.turns.tenant_id IS 'the wall';
COMMENT ON COLUMN public.turns.session_id IS 'within the tenant';
COMMENT ON COLUMN public.turns.seq IS 'from 1, no gaps';
COMMENT ON COLUMN public.turns.parent_seq IS 'the turn it follows; null for a first turn';
COMMENT ON COLUMN public.turns.role IS 'user, assistant, system, tool, …';
COMMENT ON COLUMN public.turns.content IS 'as written; null when there are only parts';
COMMENT ON COLUMN public.turns.parts IS 'payload list, verbatim: tool calls, images, framework items';
COMMENT ON COLUMN public.turns.name IS 'author or tool';
COMMENT ON COLUMN public.turns.tool_call_id IS 'the call that a tool turn answers';
COMMENT ON COLUMN public.turns.model IS 'that generated it';
COMMENT ON COLUMN public.turns.finish_reason IS 'stop, length, …';
COMMENT ON COLUMN public.turns.tokens_in IS 'usage';
COMMENT ON COLUMN public.turns.tokens_out IS 'usage';
COMMENT ON COLUMN public.turns.cost_micros IS 'millionths of a US dollar';
COMMENT ON COLUMN public.turns.language IS 'as given with the turn';
COMMENT ON COLUMN public.turns.resolved_question IS 'content rewritten to stand alone';
COMMENT ON COLUMN public.turns.template_id IS 'as given with the turn';
COMMENT ON COLUMN public.turns.slots IS 'values this turn filled in';
COMMENT ON COLUMN public.turns.results IS 'list of objects that the answer rests on';
COMMENT ON COLUMN public.turns.tools_hash IS 'names a row of tool_sets';
COMMENT ON COLUMN public.turns.metadata IS 'object, the application''s own';
COMMENT ON COLUMN public.turns.external_id IS 'the caller''s own id: same id, same effect';
COMMENT ON COLUMN public.turns.created_at IS 'when it was said';
COMMENT ON COLUMN public.turns.digest IS 'SHA-256 of the content columns';
INSERT INTO public.alembic_version VALUES ('0002');
INSERT INTO public.archive_entries VALUES ('default', 'archived', '01a223eb-8958-7974-aa82-3b55c2c54964', 0, 0, 816, 2327, '1a0475a165512695f797e8fea1e7ab5edbb2931e8624dd7e136140b632da9607', 6, 2, 'committed', 1795898968408557);
INSERT INTO public.archive_entries VALUES ('default', 'live', '01a223eb-8958-7974-aa82-3b55c2c54964', 1, 816, 803, 2295, 'eac706eb6047b7417d0dc2d8ecb22d365ef505b07a826e982bc36a42c232e41e', 6, 2, 'restored', 1795898968408557);
INSERT INTO public.archive_folder VALUES (1, '01a223eb-8856-7706-a2c5-fb68762c62a6');
INSERT INTO public.archive_segments VALUES ('01a223eb-8958-7974-aa82-3b55c2c54964', 'sealed', 'segments/2026/11/segment-01a223eb-8958-7974-aa82-3b55c2c54964.jsonl.zst', 1619, 4622, '7db9cc6e2348e5022ca33359450ba210ff276017bd65bfaecfeda0beb9ba2d3f', 2, '01a223eb-8523-72c8-b5e2-00b6d8b3dabf', NULL, 1795898968408557, 1795898968408557, 1795898968408557);
INSERT INTO public.graph_states VALUES ('default', 'held', 'default', 1, '{"nodes":[1]}', NULL, '{}', NULL, 1795898967760758, '\x7be90121a026b96187ef5f033e924bd58750316677eaac9ba19591759a1c5792');
INSERT INTO public.graph_states VALUES ('default', 'live', 'default', 1, '{"nodes":[1]}', NULL, '{}', NULL, 1795898967854286, '\x7be90121a026b96187ef5f033e924bd58750316677eaac9ba19591759a1c5792');
INSERT INTO public.interactions VALUES ('default', 'held', 1, 'feedback', 2, NULL, NULL, NULL, 'human', 'correct', NULL, NULL, NULL, NULL, NULL, NULL, '{}', NULL, 1795898967729139, '\x788dd882c12c2d0e51cb72c3dc01a9df2b221d3dec8fbc47d624fdff818f7acb', '\x32b9b83c85907cd4c0437c034911d3e209dc08a502e1f972abbefccf72e53f0f');
INSERT INTO public.interactions VALUES ('default', 'live', 1, 'feedback', 2, NULL, NULL, NULL, 'human', 'correct', NULL, NULL, NULL, NULL, NULL, NULL, '{}', NULL, 1795898967843719, '\x788dd882c12c2d0e51cb72c3dc01a9df2b221d3dec8fbc47d624fdff818f7acb', '\x32b9b83c85907cd4c0437c034911d3e209dc08a502e1f972abbefccf72e53f0f');
INSERT INTO public.legal_holds VALUES ('default', 'held', 1, 'case', NULL, 1795898967909667, NULL, NULL);
INSERT INTO public.retention_runs VALUES ('01a223eb-87b0-71ab-9735-27ad3df378dc', 1795898967984819, 1795898968856095, 2, 2, 0, NULL);
INSERT INTO public.schema_info VALUES (1, '0001');
INSERT INTO public.session_ledger VALUES ('default', 'held', 'u-1', 'm', 't', false, 0, 0, '[]', 0, NULL, NULL, 1795898967781150, 1795898967781150);
INSERT INTO public.session_ledger VALUES ('default', 'live', 'u-1', 'm', 't', false, 0, 0, '[]', 0, NULL, NULL, 1795898967887062, 1795898967887062);
INSERT INTO public.session_metadata VALUES ('default', 'archived', '=app', '"chat"');
INSERT INTO public.session_metadata VALUES ('default', 'held', '=app', '"chat"');
INSERT INTO public.session_metadata VALUES ('default', 'live', '=app', '"chat"');
INSERT INTO public.sessions VALUES ('default', 'held', 'active', 7, 'u-1', 'Vraag van held?', NULL, '[]', '{"app":"chat"}', 1795898967697841, 1795898967909667, 1795898967781159, NULL, 2, false, 2, 1, 1, '{"correct":1}', '{"place":"Goor"}', NULL, 1, NULL, NULL, NULL);
INSERT INTO public.sessions VALUES ('default', 'archived', 'archived', 7, 'u-1', 'Vraag van archived?', NULL, '[]', '{"app":"chat"}', 1795898967367276, 1795898968655305, 1795898967659014, NULL, 2, false, 2, 1, 1, '{"correct":1}', '{"place":"Goor"}', NULL, 0, 1795898968655305, '01a223eb-8958-7974-aa82-3b55c2c54964', NULL);
INSERT INTO public.sessions VALUES ('default', 'live', 'active', 8, 'u-1', 'Vraag van live?', NULL, '[]', '{"app":"chat"}', 1795898967805810, 1795898968907990, 1795898968907990, NULL, 2, false, 2, 1, 1, '{"correct":1}', '{"place":"Goor"}', NULL, 0, NULL, NULL, NULL);
INSERT INTO public.turns VALUES ('default', 'held', 1, NULL, 'user', 'Vraag van held?', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"place":"Goor"}', NULL, NULL, '{}', NULL, 1795898967716806, '\x12aca460907c3c9afff4481a9455c2a1d66e892ed9fe1e678a8aca806d7013be');
INSERT INTO public.turns VALUES ('default', 'held', 2, 1, 'assistant', 'Drie.', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}', 'm-2', 1795898967722697, '\x8f75e00a58ba07aab288da7244c2b39a7ffe2374c639d7300dcabde5976ce5da');
INSERT INTO public.turns VALUES ('default', 'live', 1, NULL, 'user', 'Vraag van live?', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"place":"Goor"}', NULL, NULL, '{}', NULL, 1795898967826030, '\xe0c68c0ec429f3defd23b79ad0307c033fdb2d4f6c73bacc5c0d73221879e71d');
INSERT INTO public.turns VALUES ('default', 'live', 2, 1, 'assistant', 'Drie.', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}', 'm-2', 1795898967834681, '\x8f75e00a58ba07aab288da7244c2b39a7ffe2374c639d7300dcabde5976ce5da');
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.archive_entries
    ADD CONSTRAINT pk_archive_entries PRIMARY KEY (tenant_id, session_id, segment_id);
ALTER TABLE ONLY public.archive_folder
    ADD CONSTRAINT pk_archive_folder PRIMARY KEY (id);
ALTER TABLE ONLY public.archive_segments
    ADD CONSTRAINT pk_archive_segments PRIMARY KEY (segment_id);
ALTER TABLE ONLY public.cost_totals
    ADD CONSTRAINT pk_cost_totals PRIMARY KEY (tenant_id, user_id);
ALTER TABLE ONLY public.erasures
    ADD CONSTRAINT pk_erasures PRIMARY KEY (tenant_id, erasure_id);
ALTER TABLE ONLY public.graph_states
    ADD CONSTRAINT pk_graph_states PRIMARY KEY (tenant_id, session_id, namespace, version);
ALTER TABLE ONLY public.interactions
    ADD CONSTRAINT pk_interactions PRIMARY KEY (tenant_id, session_id, seq);
ALTER TABLE ONLY public.leases
    ADD CONSTRAINT pk_leases PRIMARY KEY (name);
ALTER TABLE ONLY public.legal_holds
    ADD CONSTRAINT pk_legal_holds PRIMARY KEY (tenant_id, session_id, number);
ALTER TABLE ONLY public.prefix_entries
    ADD CONSTRAINT pk_prefix_entries PRIMARY KEY (tenant_id, prefix_key);
ALTER TABLE ONLY public.retention_runs
    ADD CONSTRAINT pk_retention_runs PRIMARY KEY (run_id);
ALTER TABLE ONLY public.schema_info
    ADD CONSTRAINT pk_schema_info PRIMARY KEY (id);
ALTER TABLE ONLY public.session_ledger
    ADD CONSTRAINT pk_session_ledger PRIMARY KEY (tenant_id, session_id);
ALTER TABLE ONLY public.session_metadata
    ADD CONSTRAINT pk_session_metadata PRIMARY KEY (tenant_id, session_id, key);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT pk_sessions PRIMARY KEY (tenant_id, session_id);
ALTER TABLE ONLY public.tool_sets
    ADD CONSTRAINT pk_tool_sets PRIMARY KEY (tenant_id, session_id, tools_hash);
ALTER TABLE ONLY public.turns
    ADD CONSTRAINT pk_turns PRIMARY KEY (tenant_id, session_id, seq);
CREATE INDEX ix_archive_entries_segment ON public.archive_entries USING btree (segment_id);
CREATE INDEX ix_archive_segments_state ON public.archive_segments USING btree (state, verified_at);
CREATE INDEX ix_interactions_supersedes ON public.interactions USING btree (tenant_id, session_id, supersedes) WHERE (supersedes IS NOT NULL);
CREATE INDEX ix_interactions_target ON public.interactions USING btree (tenant_id, session_id, target_hash, seq);
CREATE INDEX ix_prefix_entries_expiring ON public.prefix_entries USING btree (tenant_id, expires_at);
CREATE INDEX ix_prefix_entries_instance ON public.prefix_entries USING btree (tenant_id, instance);
CREATE INDEX ix_prefix_entries_upstream ON public.prefix_entries USING btree (tenant_id, upstream_session_id);
CREATE INDEX ix_prefix_entries_used ON public.prefix_entries USING btree (tenant_id, used_at, prefix_key);
CREATE INDEX ix_session_ledger_user ON public.session_ledger USING btree (tenant_id, user_id);
CREATE INDEX ix_session_metadata_value ON public.session_metadata USING btree (tenant_id, key, value, session_id);
CREATE INDEX ix_sessions_active ON public.sessions USING btree (last_activity_at, tenant_id, session_id) WHERE ((state)::text = 'active'::text);
CREATE INDEX ix_sessions_by_user ON public.sessions USING btree (tenant_id, user_id, last_activity_at, session_id) WHERE (user_id IS NOT NULL);
CREATE INDEX ix_sessions_expiring ON public.sessions USING btree (expires_at) WHERE (((state)::text = 'active'::text) AND (expires_at IS NOT NULL));
CREATE INDEX ix_sessions_listed ON public.sessions USING btree (tenant_id, last_activity_at, session_id) WHERE ((state)::text = ANY ((ARRAY['active'::character varying, 'archived'::character varying])::text[]));
CREATE UNIQUE INDEX uq_graph_states_external_id ON public.graph_states USING btree (tenant_id, session_id, external_id) WHERE (external_id IS NOT NULL);
CREATE UNIQUE INDEX uq_interactions_external_id ON public.interactions USING btree (tenant_id, session_id, external_id) WHERE (external_id IS NOT NULL);
CREATE UNIQUE INDEX uq_turns_external_id ON public.turns USING btree (tenant_id, session_id, external_id) WHERE (external_id IS NOT NULL);
ALTER TABLE ONLY public.archive_entries
    ADD CONSTRAINT fk_archive_entries_sessions FOREIGN KEY (tenant_id, session_id) REFERENCES public.sessions(tenant_id, session_id);
ALTER TABLE ONLY public.graph_states
    ADD CONSTRAINT fk_graph_states_sessions FOREIGN KEY (tenant_id, session_id) REFERENCES public.sessions(tenant_id, session_id);
ALTER TABLE ONLY public.interactions
    ADD CONSTRAINT fk_interactions_sessions FOREIGN KEY (tenant_id, session_id) REFERENCES public.sessions(tenant_id, session_id);
ALTER TABLE ONLY public.legal_holds
    ADD CONSTRAINT fk_legal_holds_sessions FOREIGN KEY (tenant_id, session_id) REFERENCES public.sessions(tenant_id, session_id);
ALTER TABLE ONLY public.session_ledger
    ADD CONSTRAINT fk_session_ledger_sessions FOREIGN KEY (tenant_id, session_id) REFERENCES public.sessions(tenant_id, session_id);
ALTER TABLE ONLY public.session_metadata
    ADD CONSTRAINT fk_session_metadata_sessions FOREIGN KEY (tenant_id, session_id) REFERENCES public.sessions(tenant_id, session_id);
ALTER TABLE ONLY public.tool_sets
    ADD CONSTRAINT fk_tool_sets_sessions FOREIGN KEY (tenant_id, session_id) REFERENCES public.sessions(tenant_id, session_id);
ALTER TABLE ONLY public.turns
    ADD CONSTRAINT fk_turns_sessions FOREIGN KEY (tenant_id, session_id) REFERENCES public.sessions(tenant_id, session_id);
