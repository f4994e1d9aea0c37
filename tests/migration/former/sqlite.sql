BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE archive_entries (
	tenant_id VARCHAR(255) NOT NULL, 
	session_id VARCHAR(255) NOT NULL, 
	segment_id VARCHAR(64) NOT NULL, 
	ordinal BIGINT NOT NULL, 
	"offset" BIGINT NOT NULL, 
	length BIGINT NOT NULL, 
	raw_length BIGINT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	session_version BIGINT NOT NULL, 
	turn_count BIGINT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	created_at BIGINT NOT NULL, 
	CONSTRAINT pk_archive_entries PRIMARY KEY (tenant_id, session_id, segment_id), 
	CONSTRAINT fk_archive_entries_sessions FOREIGN KEY(tenant_id, session_id) REFERENCES sessions (tenant_id, session_id)
)
 WITHOUT ROWID

;
INSERT INTO "archive_entries" VALUES('default','archived','01a223eb-830b-7677-9a9f-ab6424b3ed80',0,0,808,2327,'d58afcdf29dd5bccc1039a22ddde44d6a939a89d938b14e8ff7e90336bc8859a',6,2,'committed',1795898966795306);
INSERT INTO "archive_entries" VALUES('default','live','01a223eb-830b-7677-9a9f-ab6424b3ed80',1,808,802,2295,'3bdafbd07d09b30046357e7a3ea99ad3bfbf516bec3b7d0c8d99f51fcbaeb269',6,2,'restored',1795898966795306);
CREATE TABLE archive_folder (
	id INTEGER NOT NULL, 
	folder_id VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_archive_folder PRIMARY KEY (id)
)
 WITHOUT ROWID

;
INSERT INTO "archive_folder" VALUES(1,'01a223eb-82c2-791d-a98a-6fb5bdbac7fb');
CREATE TABLE archive_segments (
	segment_id VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	raw_bytes BIGINT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	entry_count BIGINT NOT NULL, 
	holder VARCHAR(64), 
	problem VARCHAR(255), 
	created_at BIGINT NOT NULL, 
	sealed_at BIGINT, 
	verified_at BIGINT, 
	CONSTRAINT pk_archive_segments PRIMARY KEY (segment_id)
)
 WITHOUT ROWID

;
INSERT INTO "archive_segments" VALUES('01a223eb-830b-7677-9a9f-ab6424b3ed80','sealed','segments/2026/11/segment-01a223eb-830b-7677-9a9f-ab6424b3ed80.jsonl.zst',1610,4622,'cdba62c8138d86d592e46306377637ce5c03ef039dd9306a7abb866fe39262b9',2,'01a223eb-812b-754f-a9b9-96eadad2997a',NULL,1795898966795306,1795898966795306,1795898966795306);
CREATE TABLE cost_totals (
	tenant_id VARCHAR(255) NOT NULL, 
	user_id VARCHAR(255) NOT NULL, 
	cost_micros BIGINT NOT NULL, 
	CONSTRAINT pk_cost_totals PRIMARY KEY (tenant_id, user_id)
)
 WITHOUT ROWID

;
CREATE TABLE erasures (
	tenant_id VARCHAR(255) NOT NULL, 
	erasure_id VARCHAR(64) NOT NULL, 
	subject VARCHAR(16) NOT NULL, 
	subject_hash VARCHAR(64) NOT NULL, 
	salt VARCHAR(64) NOT NULL, 
	session_ids TEXT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	receipt TEXT NOT NULL, 
	requested_at BIGINT NOT NULL, 
	done_at BIGINT, 
	CONSTRAINT pk_erasures PRIMARY KEY (tenant_id, erasure_id)
)
 WITHOUT ROWID

;
CREATE TABLE graph_states (
	tenant_id VARCHAR(255) NOT NULL, 
	session_id VARCHAR(255) NOT NULL, 
	namespace VARCHAR(255) NOT NULL, 
	version BIGINT NOT NULL, 
	state TEXT NOT NULL, 
	turn_seq BIGINT, 
	metadata TEXT NOT NULL, 
	external_id VARCHAR(255), 
	created_at BIGINT NOT NULL, 
	digest BLOB NOT NULL, 
	CONSTRAINT pk_graph_states PRIMARY KEY (tenant_id, session_id, namespace, version), 
	CONSTRAINT fk_graph_states_sessions FOREIGN KEY(tenant_id, session_id) REFERENCES sessions (tenant_id, session_id)
)
 WITHOUT ROWID

;
INSERT INTO "graph_states" VALUES('default','held','default',1,'{"nodes":[1]}',NULL,'{}',NULL,1795898966494009,X'7BE90121A026B96187EF5F033E924BD58750316677EAAC9BA19591759A1C5792');
INSERT INTO "graph_states" VALUES('default','live','default',1,'{"nodes":[1]}',NULL,'{}',NULL,1795898966545754,X'7BE90121A026B96187EF5F033E924BD58750316677EAAC9BA19591759A1C5792');
CREATE TABLE interactions (
	tenant_id VARCHAR(255) NOT NULL, 
	session_id VARCHAR(255) NOT NULL, 
	seq BIGINT NOT NULL, 
	action VARCHAR(255) NOT NULL, 
	turn_seq BIGINT, 
	node_id VARCHAR(255), 
	choice TEXT, 
	actor_id VARCHAR(255), 
	actor_kind VARCHAR(16) NOT NULL, 
	feedback VARCHAR(255), 
	score FLOAT, 
	reason TEXT, 
	content TEXT, 
	shown TEXT, 
	surface VARCHAR(255), 
	supersedes BIGINT, 
	metadata TEXT NOT NULL, 
	external_id VARCHAR(255), 
	created_at BIGINT NOT NULL, 
	target_hash BLOB NOT NULL, 
	digest BLOB NOT NULL, 
	CONSTRAINT pk_interactions PRIMARY KEY (tenant_id, session_id, seq), 
	CONSTRAINT fk_interactions_sessions FOREIGN KEY(tenant_id, session_id) REFERENCES sessions (tenant_id, session_id)
)
 WITHOUT ROWID

;
INSERT INTO "interactions" VALUES('default','held',1,'feedback',2,NULL,NULL,NULL,'human','correct',NULL,NULL,NULL,NULL,NULL,NULL,'{}',NULL,1795898966482327,X'788DD882C12C2D0E51CB72C3DC01A9DF2B221D3DEC8FBC47D624FDFF818F7ACB',X'32B9B83C85907CD4C0437C034911D3E209DC08A502E1F972ABBEFCCF72E53F0F');
INSERT INTO "interactions" VALUES('default','live',1,'feedback',2,NULL,NULL,NULL,'human','correct',NULL,NULL,NULL,NULL,NULL,NULL,'{}',NULL,1795898966536395,X'788DD882C12C2D0E51CB72C3DC01A9DF2B221D3DEC8FBC47D624FDFF818F7ACB',X'32B9B83C85907CD4C0437C034911D3E209DC08A502E1F972ABBEFCCF72E53F0F');
CREATE TABLE leases (
	name VARCHAR(64) NOT NULL, 
	holder VARCHAR(64) NOT NULL, 
	epoch BIGINT NOT NULL, 
	expires_at BIGINT NOT NULL, 
	CONSTRAINT pk_leases PRIMARY KEY (name)
)
 WITHOUT ROWID

;
CREATE TABLE legal_holds (
	tenant_id VARCHAR(255) NOT NULL, 
	session_id VARCHAR(255) NOT NULL, 
	number BIGINT NOT NULL, 
	reason TEXT NOT NULL, 
	placed_by VARCHAR(255), 
	placed_at BIGINT NOT NULL, 
	released_by VARCHAR(255), 
	released_at BIGINT, 
	CONSTRAINT pk_legal_holds PRIMARY KEY (tenant_id, session_id, number), 
	CONSTRAINT fk_legal_holds_sessions FOREIGN KEY(tenant_id, session_id) REFERENCES sessions (tenant_id, session_id)
)
 WITHOUT ROWID

;
INSERT INTO "legal_holds" VALUES('default','held',1,'case',NULL,1795898966574050,NULL,NULL);
CREATE TABLE prefix_entries (
	tenant_id VARCHAR(255) NOT NULL, 
	prefix_key VARCHAR(64) NOT NULL, 
	upstream_session_id VARCHAR(255) NOT NULL, 
	instance VARCHAR(255), 
	expires_at BIGINT NOT NULL, 
	used_at BIGINT NOT NULL, 
	CONSTRAINT pk_prefix_entries PRIMARY KEY (tenant_id, prefix_key)
)
 WITHOUT ROWID

;
CREATE TABLE retention_runs (
	run_id VARCHAR(64) NOT NULL, 
	started_at BIGINT NOT NULL, 
	finished_at BIGINT, 
	archived BIGINT NOT NULL, 
	purged BIGINT NOT NULL, 
	failed BIGINT NOT NULL, 
	problem VARCHAR(255), 
	CONSTRAINT pk_retention_runs PRIMARY KEY (run_id)
)
 WITHOUT ROWID

;
INSERT INTO "retention_runs" VALUES('01a223eb-825e-7384-92e6-5c151cadd8f3',1795898966622257,1795898967116660,2,2,0,NULL);
CREATE TABLE schema_info (
	id INTEGER NOT NULL, 
	oldest_code VARCHAR(32) NOT NULL, 
	CONSTRAINT pk_schema_info PRIMARY KEY (id)
)
 WITHOUT ROWID

;
INSERT INTO "schema_info" VALUES(1,'0001');
CREATE TABLE session_ledger (
	tenant_id VARCHAR(255) NOT NULL, 
	session_id VARCHAR(255) NOT NULL, 
	user_id VARCHAR(255), 
	model VARCHAR(255), 
	tier VARCHAR(255), 
	user_explicit BOOLEAN NOT NULL, 
	request_count BIGINT NOT NULL, 
	strikes BIGINT NOT NULL, 
	recent_hashes TEXT NOT NULL, 
	cost_micros BIGINT NOT NULL, 
	cache_provider VARCHAR(255), 
	cache_sticky_until BIGINT, 
	created_at BIGINT NOT NULL, 
	last_used_at BIGINT NOT NULL, 
	CONSTRAINT pk_session_ledger PRIMARY KEY (tenant_id, session_id), 
	CONSTRAINT fk_session_ledger_sessions FOREIGN KEY(tenant_id, session_id) REFERENCES sessions (tenant_id, session_id)
)
 WITHOUT ROWID

;
INSERT INTO "session_ledger" VALUES('default','held','u-1','m','t',0,0,0,'[]',0,NULL,NULL,1795898966504655,1795898966504655);
INSERT INTO "session_ledger" VALUES('default','live','u-1','m','t',0,0,0,'[]',0,NULL,NULL,1795898966562497,1795898966562497);
CREATE TABLE session_metadata (
	tenant_id VARCHAR(255) NOT NULL, 
	session_id VARCHAR(255) NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	value VARCHAR(255) NOT NULL, 
	CONSTRAINT pk_session_metadata PRIMARY KEY (tenant_id, session_id, "key"), 
	CONSTRAINT fk_session_metadata_sessions FOREIGN KEY(tenant_id, session_id) REFERENCES sessions (tenant_id, session_id)
)
 WITHOUT ROWID

;
INSERT INTO "session_metadata" VALUES('default','archived','=app','"chat"');
INSERT INTO "session_metadata" VALUES('default','held','=app','"chat"');
INSERT INTO "session_metadata" VALUES('default','live','=app','"chat"');
CREATE TABLE sessions (
	tenant_id VARCHAR(255) NOT NULL, 
	session_id VARCHAR(255) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	version BIGINT NOT NULL, 
	user_id VARCHAR(255), 
	title TEXT, 
	language VARCHAR(255), 
	tags TEXT NOT NULL, 
	metadata TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	last_activity_at BIGINT NOT NULL, 
	expires_at BIGINT, 
	head_seq BIGINT, 
	branched BOOLEAN NOT NULL, 
	turn_count BIGINT NOT NULL, 
	interaction_count BIGINT NOT NULL, 
	graph_state_count BIGINT NOT NULL, 
	feedback_counts TEXT NOT NULL, 
	current_slots TEXT NOT NULL, 
	current_template_id VARCHAR(255), 
	hold_count BIGINT NOT NULL, 
	archived_at BIGINT, 
	segment_id VARCHAR(64), 
	problem VARCHAR(64), 
	CONSTRAINT pk_sessions PRIMARY KEY (tenant_id, session_id)
)
 WITHOUT ROWID

;
INSERT INTO "sessions" VALUES('default','archived','archived',7,'u-1','Vraag van archived?',NULL,'[]','{"app":"chat"}',1795898966326342,1795898966965986,1795898966421861,NULL,2,0,2,1,1,'{"correct":1}','{"place":"Goor"}',NULL,0,1795898966965986,'01a223eb-830b-7677-9a9f-ab6424b3ed80',NULL);
INSERT INTO "sessions" VALUES('default','held','active',7,'u-1','Vraag van held?',NULL,'[]','{"app":"chat"}',1795898966447293,1795898966574050,1795898966504663,NULL,2,0,2,1,1,'{"correct":1}','{"place":"Goor"}',NULL,1,NULL,NULL,NULL);
INSERT INTO "sessions" VALUES('default','live','active',8,'u-1','Vraag van live?',NULL,'[]','{"app":"chat"}',1795898966514747,1795898967161847,1795898967161847,NULL,2,0,2,1,1,'{"correct":1}','{"place":"Goor"}',NULL,0,NULL,NULL,NULL);
CREATE TABLE tool_sets (
	tenant_id VARCHAR(255) NOT NULL, 
	session_id VARCHAR(255) NOT NULL, 
	tools_hash VARCHAR(64) NOT NULL, 
	tools TEXT NOT NULL, 
	CONSTRAINT pk_tool_sets PRIMARY KEY (tenant_id, session_id, tools_hash), 
	CONSTRAINT fk_tool_sets_sessions FOREIGN KEY(tenant_id, session_id) REFERENCES sessions (tenant_id, session_id)
)
 WITHOUT ROWID

;
CREATE TABLE turns (
	tenant_id VARCHAR(255) NOT NULL, 
	session_id VARCHAR(255) NOT NULL, 
	seq BIGINT NOT NULL, 
	parent_seq BIGINT, 
	role VARCHAR(255) NOT NULL, 
	content TEXT, 
	parts TEXT, 
	name VARCHAR(255), 
	tool_call_id VARCHAR(255), 
	model VARCHAR(255), 
	finish_reason VARCHAR(255), 
	tokens_in BIGINT, 
	tokens_out BIGINT, 
	cost_micros BIGINT, 
	language VARCHAR(255), 
	resolved_question TEXT, 
	template_id VARCHAR(255), 
	slots TEXT, 
	results TEXT, 
	tools_hash VARCHAR(64), 
	metadata TEXT NOT NULL, 
	external_id VARCHAR(255), 
	created_at BIGINT NOT NULL, 
	digest BLOB NOT NULL, 
	CONSTRAINT pk_turns PRIMARY KEY (tenant_id, session_id, seq), 
	CONSTRAINT fk_turns_sessions FOREIGN KEY(tenant_id, session_id) REFERENCES sessions (tenant_id, session_id)
)
 WITHOUT ROWID

;
INSERT INTO "turns" VALUES('default','held',1,NULL,'user','Vraag van held?',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"place":"Goor"}',NULL,NULL,'{}',NULL,1795898966454111,X'12ACA460907C3C9AFFF4481A9455C2A1D66E892ED9FE1E678A8ACA806D7013BE');
INSERT INTO "turns" VALUES('default','held',2,1,'assistant','Drie.',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{}','m-2',1795898966468069,X'8F75E00A58BA07AAB288DA7244C2B39A7FFE2374C639D7300DCABDE5976CE5DA');
INSERT INTO "turns" VALUES('default','live',1,NULL,'user','Vraag van live?',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"place":"Goor"}',NULL,NULL,'{}',NULL,1795898966526344,X'E0C68C0EC429F3DEFD23B79AD0307C033FDB2D4F6C73BACC5C0D73221879E71D');
INSERT INTO "turns" VALUES('default','live',2,1,'assistant','Drie.',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{}','m-2',1795898966527297,X'8F75E00A58BA07AAB288DA7244C2B39A7FFE2374C639D7300DCABDE5976CE5DA');
CREATE INDEX ix_archive_segments_state ON archive_segments (state, verified_at);
CREATE INDEX ix_prefix_entries_expiring ON prefix_entries (tenant_id, expires_at);
CREATE INDEX ix_prefix_entries_instance ON prefix_entries (tenant_id, instance);
CREATE INDEX ix_prefix_entries_upstream ON prefix_entries (tenant_id, upstream_session_id);
CREATE INDEX ix_prefix_entries_used ON prefix_entries (tenant_id, used_at, prefix_key);
CREATE INDEX ix_sessions_active ON sessions (last_activity_at, tenant_id, session_id) WHERE state = 'active';
CREATE INDEX ix_sessions_by_user ON sessions (tenant_id, user_id, last_activity_at, session_id) WHERE user_id IS NOT NULL;
CREATE INDEX ix_sessions_expiring ON sessions (expires_at) WHERE state = 'active' AND expires_at IS NOT NULL;
CREATE INDEX ix_sessions_listed ON sessions (tenant_id, last_activity_at, session_id) WHERE state IN ('active', 'archived');
CREATE INDEX ix_archive_entries_segment ON archive_entries (segment_id);
CREATE UNIQUE INDEX uq_graph_states_external_id ON graph_states (tenant_id, session_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX ix_interactions_supersedes ON interactions (tenant_id, session_id, supersedes) WHERE supersedes IS NOT NULL;
CREATE INDEX ix_interactions_target ON interactions (tenant_id, session_id, target_hash, seq);
CREATE UNIQUE INDEX uq_interactions_external_id ON interactions (tenant_id, session_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX ix_session_ledger_user ON session_ledger (tenant_id, user_id);
CREATE INDEX ix_session_metadata_value ON session_metadata (tenant_id, "key", value, session_id);
CREATE UNIQUE INDEX uq_turns_external_id ON turns (tenant_id, session_id, external_id) WHERE external_id IS NOT NULL;
COMMIT;
