package import Foundation
import Messaging
package import Postgres

/// The record of what operators did, which cannot be changed without being noticed.
///
/// Each entry holds the hash of the one before. The database refuses changes; whoever gets around that leaves a chain that
/// `verify` finds broken. A chain that was cut short or computed anew as a whole is found by a hash noted elsewhere: `head`
/// gives one to note, and `verify` takes one to look for.
package enum OperatorLog {
    /// "neffoplg" in ASCII.
    private static let lockKey = 0x6e65_6666_6f70_6c67
    private static let instant: SQL = "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'"
    private static let columns: SQL = """
        id, at, to_char(at at time zone 'UTC', \(instant)) as at_text, actor, act, subject, reason,
        details::text as details, previous_hash, hash
        """

    /// Adds an act to the transaction that does it.
    ///
    /// Appends take turns until their transactions end, so append last, and after every row lock of the transaction.
    /// - Throws: `PostgresError`; a serialization failure in a transaction that is not read committed.
    package static func append(_ act: OperatorAct, in transaction: Transaction) async throws {
        try await append([act], in: transaction)
    }

    /// Adds acts that are done together, in two round trips however many there are.
    ///
    /// - Throws: as for one.
    package static func append(_ acts: [OperatorAct], in transaction: Transaction) async throws {
        guard !acts.isEmpty else { return }
        // The clock is read under the lock, so that times and ids have one order, and jsonb in its stored form, because
        // that is what will be checked.
        let answers = try await transaction.pipeline(
            [
                "select pg_advisory_xact_lock(\(lockKey))",
                """
                select last.id, last.hash, to_char(clock_timestamp() at time zone 'UTC', \(instant)) as at_text
                from (values (1)) as always
                left join (select id, hash from operator_log order by id desc limit 1) as last on true
                """,
            ] + Set(acts.map(\.details)).map { "select \($0.rawValue) as text, \($0)::jsonb::text as stored" })
        var previous = try answers[1][0].decode("hash", as: String?.self)
        var id = try answers[1][0].decode("id", as: Int?.self) ?? 0
        let at = try answers[1][0].decode("at_text", as: String.self)
        var stored: [String: String] = [:]
        for rows in answers[2...] { stored[try rows[0].decode("text")] = try rows[0].decode("stored", as: String.self) }
        var insertions: [SQL] = []
        for act in acts {
            id += 1
            let details = stored[act.details.rawValue] ?? act.details.rawValue
            let hash = digest(id: id, at: at, act: act, details: details, previous: previous)
            insertions.append(
                """
                insert into operator_log (id, at, actor, act, subject, reason, details, previous_hash, hash)
                values (\(id), \(at)::timestamptz, \(act.actor), \(act.kind.rawValue), \(act.subject), \(act.reason),
                    \(JSONText(details)), \(previous), \(hash))
                """)
            previous = hash
        }
        _ = try await transaction.pipeline(insertions)
    }

    /// SHA-256 over every column, each with its length, in the order of the table.
    private static func digest(
        id: Int, at: String, act: OperatorAct, details: String, previous: String?
    ) -> String {
        MessageID.hex(
            MessageID.digest([
                "operator_log 1", String(id), at, act.actor, act.kind.rawValue, act.subject,
                act.reason.map { "=" + $0 } ?? "", details, previous ?? "",
            ]))
    }

    // MARK: Reading

    /// Which entries to list; nil filters nothing.
    package struct Filter: Hashable, Sendable {
        package var actor: String?
        package var subject: String?
        /// The beginning of an act's kind, such as `dead_letter`.
        package var kindPrefix: String?
        package var since: Date?

        package init(
            actor: String? = nil, subject: String? = nil, kindPrefix: String? = nil, since: Date? = nil
        ) {
            self.actor = actor
            self.subject = subject
            self.kindPrefix = kindPrefix
            self.since = since
        }
    }

    /// Entries that match, the youngest first.
    ///
    /// - Parameters:
    ///   - id: only entries before this one.
    ///   - limit: 1 to 500.
    /// - Throws: `PostgresError`.
    package static func list(
        _ filter: Filter = Filter(), before id: Int? = nil, limit: Int = 50, on pool: PostgresPool
    ) async throws -> [OperatorLogEntry] {
        var query: SQL = "select \(columns) from operator_log where true"
        if let actor = filter.actor { query += " and actor = \(actor)" }
        if let subject = filter.subject { query += " and subject = \(subject)" }
        if let prefix = filter.kindPrefix { query += " and starts_with(act, \(prefix))" }
        if let since = filter.since { query += " and at >= \(since)" }
        if let id { query += " and id < \(id)" }
        query += " order by id desc limit \(min(max(limit, 1), 500))"
        return try await pool.query(query).map(OperatorLogEntry.init)
    }

    // MARK: Checking

    /// What a check of the chain found.
    package enum Verdict: Hashable, Sendable {
        /// Every entry is as it was written. `head` is the hash of the last one, nil if there is none.
        case intact(entries: Int, head: String?)
        /// The first entry that is not as it was written, and in what way. Nothing after it can be believed.
        case broken(id: Int, problem: String)
        /// The chain is whole, but the hash that was noted earlier is not in it: its end was cut off, or all of it was
        /// computed anew.
        case headMissing(entries: Int)
    }

    /// Reads the whole log and computes every hash again.
    ///
    /// - Parameter notedHead: a hash noted earlier, elsewhere; nil to check only that the chain agrees with itself.
    /// - Throws: `PostgresError`.
    package static func verify(
        notedHead: String? = nil, pageSize: Int = 1_000, on pool: PostgresPool
    ) async throws -> Verdict {
        var last: OperatorLogEntry?
        var isHeadFound = notedHead == nil
        while true {
            let page = try await pool.query(
                """
                select \(columns) from operator_log where id > \(last?.id ?? Int.min) order by id limit \(pageSize)
                """
            ).map(OperatorLogEntry.init)
            for entry in page {
                if let problem = problem(of: entry, after: last) { return .broken(id: entry.id, problem: problem) }
                isHeadFound = isHeadFound || entry.hash == notedHead
                last = entry
            }
            if page.count < pageSize { break }
        }
        let count = last?.id ?? 0
        return isHeadFound ? .intact(entries: count, head: last?.hash) : .headMissing(entries: count)
    }

    private static func problem(of entry: OperatorLogEntry, after last: OperatorLogEntry?) -> String? {
        let expected = (last?.id ?? 0) + 1
        if entry.id != expected {
            return expected + 1 == entry.id
                ? "entry \(expected), before it, is missing"
                : "entries \(expected) to \(entry.id - 1), before it, are missing"
        }
        if entry.previousHash != last?.hash { return "it does not follow the entry before it" }
        let hash = digest(
            id: entry.id, at: entry.atText, act: entry.act, details: entry.act.details.rawValue,
            previous: entry.previousHash)
        return hash == entry.hash ? nil : "its content is not what was written"
    }
}

extension OperatorLogEntry {
    init(_ row: Row) throws {
        self.init(
            id: try row.decode("id"), atText: try row.decode("at_text"), at: try row.decode("at"),
            act: OperatorAct(
                actor: try row.decode("actor"), kind: OperatorAct.Kind(rawValue: try row.decode("act")),
                subject: try row.decode("subject"), reason: try row.decode("reason", as: String?.self),
                details: JSONText(try row.decode("details", as: String.self))),
            previousHash: try row.decode("previous_hash", as: String?.self), hash: try row.decode("hash"))
    }
}
