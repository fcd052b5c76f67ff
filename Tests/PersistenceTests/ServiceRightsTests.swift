import Logging
import Persistence
import Postgres
import TestSupport
import Testing

/// Table by table, what each service's log-in may do, tried on a real server.
@Suite(.timeLimit(.minutes(3))) struct ServiceRightsTests {
    /// s select, i insert, u update of any column, d delete; in brackets are the columns that may be updated.
    /// Nobody may truncate. Roles are in the order of `ServiceRole.allCases`.
    static let rights: [String: [String]] = [
        //                       ingress  sync    scheduling  notification  deadletters  operator
        "schema_migrations": ["s", "s", "s", "s", "s", "s"],
        "inbox": ["s", "si", "si", "si", "s", "si"],
        "outbox": ["", "siud", "siud", "siud", "", "sid"],
        "spool": ["sid", "", "", "", "", "sid"],
        "operations": ["si", "", "su", "", "s(status, http_status, outcome, finished_at, dead_letter)", "s"],
        "dead_letters": [
            """
            s(status, resolved_at, resolved_by, resolution_reason, patch, patched_at, patched_by, patch_reason, \
            campaign_id)
            """, "", "", "",
            """
            si(status, resolved_at, resolved_by, resolution_reason, normalised_error, fingerprint, campaign_id)d
            """, "siud",
        ],
        "dead_letter_groups": ["s", "", "", "", "siu", "siu"],
        "alerts": ["s", "", "", "", "siu", "siu"],
        "operator_log": ["si", "", "", "", "si", "si"],
        "replay_campaigns": ["siu", "s", "s", "s", "su", "siu"],
        "replay_letters": ["siu", "", "", "", "su", "siu"],
        "replay_begun": ["s", "sid", "sid", "sid", "sd", "sd"],
        "workers": ["s", "siu", "siu", "siu", "siu", "siu"],
        "queue_pauses": ["", "s", "s", "s", "s", "siud"],
        "breakers": ["", "siud", "siud", "siud", "", "s"],
        "drain_receipts": ["", "si", "si", "si", "", "s"],
        "ledger": ["i", "i", "i", "i", "", "sd"],
        "ledger_write_offs": ["", "", "", "", "", "s"],
        "suspects": ["", "siud", "siud", "siud", "", "s"],
        "api_keys": ["si(revoked_at, last_used_at)", "", "", "", "", "siu"],
        "users": ["siu", "", "", "", "", "siu"],
        "user_sessions": ["si(last_seen_at)d", "", "", "", "", "sd"],
        "login_throttles": ["siud", "", "", "", "", "sd"],
        "bootstrap_tokens": ["s(used_at)", "", "", "", "", "sid"],
        "access_log": ["si", "", "", "", "", "si"],
        "resources": ["siu", "", "s(active)", "", "", "siu"],
        "yards": ["siu", "", "", "", "", "s"],
        "absences": ["siu", "", "s", "", "", "s"],
        "business_calendar": ["su", "", "", "", "", "s"],
        "consultation_types": ["su", "s", "s", "", "", "s"],
        "service_types": ["siu", "", "s", "", "", "s"],
        "business_hours": ["sid", "", "s", "", "", "s"],
        "holidays": ["sid", "", "s", "", "", "s"],
        "consultations": ["s", "siu", "su", "", "", "s"],
        "calendly_invitees": ["s", "siu", "", "", "", "s"],
        "calendly_unhandled": ["", "si", "", "", "", "s"],
        "jobs": ["s", "", "siu", "", "", "s"],
        "allocations": ["si(active, released_at)", "", "siu", "", "", "s"],
        "appointments": ["s", "", "siu", "", "", "s"],
        "resource_loads": ["", "", "s", "", "", "s"],
        "resource_load_changes": ["", "", "s", "", "", "s"],
        "change_log": ["si", "si", "si", "", "", "si"],
        "notifications": ["s", "", "", "siu", "", "s"],
    ]

    @Test func everyTableIsInTheList() async throws {
        try await withScratchDatabase(migrations: Schema.migrations()) { pool in
            let rows = try await pool.query("select tablename from pg_tables where schemaname = 'public'")
            let tables = try rows.map { try $0.decode("tablename", as: String.self) }
            #expect(
                Set(tables) == Set(Self.rights.keys), "say in this list who may do what with a new table, and grant it")
        }
    }

    @Test(arguments: Array(ServiceRole.allCases.enumerated()).map { ($0.offset, $0.element) })
    func aServiceMayDoItsWorkAndNothingElse(index: Int, role: ServiceRole) async throws {
        try await withLogIn(of: role) { pool in
            for (table, expected) in Self.rights.sorted(by: { $0.key < $1.key }) {
                let found = try await Self.rights(on: table, pool)
                #expect(found == expected[index], "\(role) on \(table)")
            }
            #expect(
                try await Self.isAllowed("select nextval('job_numbers')", pool) == (role == .scheduling), "\(role)")
            for statement in ["create table mine (a integer)", "create role mine", "drop table workers"] as [SQL] {
                #expect(try await !Self.isAllowed(statement, pool), "\(role): \(statement.text)")
            }
        }
    }

    /// Tries every kind of statement on a table; each is undone, and those that change rows match none.
    private static func rights(on table: String, _ pool: PostgresPool) async throws -> String {
        let columns = try await pool.query(
            """
            select attname::text as name from pg_attribute
            where attrelid = \(table)::regclass and attnum > 0 and not attisdropped order by attnum
            """
        ).map { try $0.decode("name", as: String.self) }
        try #require(!columns.isEmpty)
        var rights = ""
        // What is wrong with a row is found out after the question of who may write one.
        if try await isAllowed("select from \(identifier: table) limit 0", pool) { rights += "s" }
        if try await isAllowed("insert into \(identifier: table) default values", pool) { rights += "i" }
        var updatable: [String] = []
        for column in columns {
            let update: SQL = "update \(identifier: table) set \(identifier: column) = default where false"
            if try await isAllowed(update, pool) { updatable.append(column) }
        }
        if updatable == columns {
            rights += "u"
        } else if !updatable.isEmpty {
            rights += "(\(updatable.joined(separator: ", ")))"
        }
        if try await isAllowed("delete from \(identifier: table) where false", pool) { rights += "d" }
        if try await isAllowed("truncate \(identifier: table)", pool) { rights += "t" }
        return rights
    }

    private struct Undo: Error {}

    private static func isAllowed(_ statement: SQL, _ pool: PostgresPool) async throws -> Bool {
        do {
            return try await pool.withTransaction { transaction in
                _ = try await transaction.query(statement)
                throw Undo()
            }
        } catch is Undo {
            return true
        } catch let error as PostgresError where error.sqlState == .insufficientPrivilege {
            return false
        } catch let error as PostgresError where error.sqlState?.classCode == "23" {
            return true
        }
    }
}
