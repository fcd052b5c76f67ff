/// Which statements are prepared on one connection, in order of use.
///
/// A statement is known by its text and the types of its parameters. Past the limit the one that was not used for the
/// longest time is given up; the server forgets it with one of the next exchanges. No I/O in here.
struct StatementCache {
    struct Key: Hashable {
        /// The pieces of the text, which need not be put together to find a statement that is prepared.
        private let fragments: [String]
        let types: [PostgresType]

        init(_ sql: SQL) {
            fragments = sql.fragments
            types = sql.parameters.map(\.type)
        }

        var text: String { SQL.text(of: fragments) }
    }

    private struct Entry {
        let name: String
        var lastUse: UInt64
    }

    private let limit: Int
    private var entries: [Key: Entry] = [:]
    private var clock: UInt64 = 0
    private var made: UInt64 = 0
    /// Names the server still knows and nobody will use again.
    private(set) var abandoned: [String] = []

    init(limit: Int) {
        self.limit = limit
    }

    var isEnabled: Bool { limit > 0 }
    var count: Int { entries.count }

    /// The name of a prepared statement.
    mutating func name(for key: Key) -> String? {
        clock += 1
        entries[key]?.lastUse = clock
        return entries[key]?.name
    }

    /// A name that was never used on this connection.
    mutating func makeName() -> String {
        made += 1
        return "s\(made)"
    }

    /// Keeps a statement that the server has prepared.
    mutating func insert(_ key: Key, name: String) {
        clock += 1
        if let old = entries.updateValue(Entry(name: name, lastUse: clock), forKey: key) { abandoned.append(old.name) }
        // Linear, but only when a statement is new and the cache is full.
        if entries.count > limit, let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse }) {
            entries[oldest.key] = nil
            abandoned.append(oldest.value.name)
        }
    }

    /// Gives up a statement that no longer fits.
    ///
    /// - Parameter isKnownToServer: whether the server has to be told.
    mutating func remove(_ key: Key, isKnownToServer: Bool) {
        guard let entry = entries.removeValue(forKey: key) else { return }
        if isKnownToServer { abandoned.append(entry.name) }
    }

    /// The server has forgotten the name.
    mutating func forgotten(_ name: String) {
        abandoned.removeAll { $0 == name }
    }
}
