/// Invitees that are one booking in the customer's eyes: each after the first replaces the one before it.
package enum InviteeChain {
    /// The records from the oldest to the newest, by their links, whichever side the link was told from.
    ///
    /// Calendly only makes simple chains. Should links ever branch or run in a circle, the order is still a fixed one: where
    /// links do not decide, the time of booking does, and then the URI.
    package static func ordered(_ records: [InviteeRecord]) -> [InviteeRecord] {
        let known = Dictionary(records.map { ($0.uri, $0) }, uniquingKeysWith: { first, _ in first })
        var older: [String: Set<String>] = [:]
        for record in known.values {
            if let old = record.oldInvitee, known[old] != nil { older[record.uri, default: []].insert(old) }
            if let new = record.newInvitee, known[new] != nil { older[new, default: []].insert(record.uri) }
        }
        func isBefore(_ left: InviteeRecord, _ right: InviteeRecord) -> Bool {
            (left.bookedAt, left.uri) < (right.bookedAt, right.uri)
        }
        var rest = known.values.sorted(by: isBefore)
        var ordered: [InviteeRecord] = []
        var placed: Set<String> = []
        while !rest.isEmpty {
            let index = rest.firstIndex { older[$0.uri, default: []].isSubset(of: placed) } ?? 0
            let next = rest.remove(at: index)
            placed.insert(next.uri)
            ordered.append(next)
        }
        return ordered
    }
}

extension InviteeRecord {
    fileprivate var bookedAt: Timestamp {
        snapshot.map { $0.payload.createdAt ?? $0.at } ?? Timestamp(microseconds: 0)
    }
}
