package import Calendly
package import Domain
package import Foundation
package import Postgres

/// The consultations of some invitees, locked until the transaction ends.
package struct LockedChains: Sendable {
    /// Every invitee of the consultations.
    package var invitees: [InviteeRecord]
    /// Which consultation an invitee belongs to, by URI.
    package var owners: [String: ConsultationID]
    /// Without those that were merged into another.
    package var consultations: [ConsultationRecord]
    /// Which event types at Calendly are which kind.
    package var eventTypes: [ConsultationKind: Set<String>]
}

/// What Calendly has said, and the consultations that follow from it: tables `calendly_invitees` and `consultations`, the
/// latter without the columns about who goes, which are the scheduler's.
package enum ConsultationRepository {
    /// How often a chain may turn into another one while we wait for it.
    private static let maxTries = 8

    /// Reads everything about the consultations that some invitees belong to, and keeps other writers out.
    ///
    /// First come advisory locks on the URIs, in the order of their keys: they also cover invitees that have no row yet, and
    /// since every writer takes its locks in that order, no two can wait for each other. Then come the rows of the
    /// consultations, in the order of their ids. While waiting for these, somebody may have merged one of them into another
    /// that is not locked; then the row locks are given up (by a savepoint) and taken again, rather than adding one out of
    /// order.
    ///
    /// - Throws: `PostgresError`.
    package static func lockChains(
        mentioning uris: Set<String>, in transaction: Transaction
    ) async throws -> LockedChains {
        let uris = uris.sorted()
        // The statements run one after the other, and each sees what was committed before it began: the second one sees
        // whatever the former holders of the locks have written.
        let results = try await transaction.pipeline([
            """
            select pg_advisory_xact_lock(key)
            from (
                select distinct hashtextextended(uri, \(Self.lockSpace)) as key
                from unnest(\(uris)::text[]) as uri order by key
            ) as keys
            """,
            owners(of: uris),
            "select kind, event_types from consultation_types",
        ])
        let eventTypes = try Self.eventTypes(results[2])
        var found = results[1]
        for _ in 0..<maxTries {
            let owners = try found.map {
                try ($0.decode("uri", as: String.self), $0.decodeRaw("consultation_id", as: ConsultationID.self))
            }
            guard !owners.isEmpty else {
                return LockedChains(invitees: [], owners: [:], consultations: [], eventTypes: eventTypes)
            }
            do {
                return try await transaction.savepoint { inner in
                    let locked = try await lockAndRead(Set(owners.map(\.1)), eventTypes, in: inner)
                    guard owners.allSatisfy({ locked.owners[$0.0] == $0.1 }) else { throw OwnerChanged() }
                    return locked
                }
            } catch is OwnerChanged {
                found = try await transaction.query(Self.owners(of: uris))
            }
        }
        throw PostgresError.contention
    }

    /// Stores what a delivery has changed, with the next statement or the commit.
    ///
    /// - Parameters:
    ///   - update: made from `locked`.
    ///   - now: for `created_at` and `updated_at`.
    /// - Returns: false if nothing was changed.
    /// - Throws: `PostgresError`.
    package static func save(
        _ update: ChainUpdate, over locked: LockedChains, at now: Date, in transaction: Transaction
    ) async throws -> Bool {
        var statements: [SQL] = []
        if let previous = update.previous {
            if previous != update.consultation { statements.append(try updating(update.consultation, at: now)) }
        } else {
            statements.append(try inserting(update.consultation, at: now))
        }
        statements += try update.merged.map { try updating($0.after, at: now) }
        let known = Dictionary(uniqueKeysWithValues: locked.invitees.map { ($0.uri, $0) })
        for invitee in update.invitees
        where known[invitee.uri] != invitee || locked.owners[invitee.uri] != update.consultation.id {
            statements.append(upserting(invitee, owner: update.consultation.id, at: now))
        }
        for statement in statements { try await transaction.enqueue(statement) }
        return !statements.isEmpty
    }

    /// The consultation that an id stands for now, following mergers, locked.
    ///
    /// - Returns: nil if there is none of this id.
    /// - Throws: `PostgresError`.
    package static func lock(_ id: ConsultationID, in transaction: Transaction) async throws -> ConsultationRecord? {
        // A survivor can itself be merged later, never in a circle, since a merged one never survives anything again.
        let rows = try await transaction.query(
            """
            with recursive line (id) as (
                select c.id from consultations c where c.id = \(id.rawValue)
                union all
                select c.merged_into from line join consultations c using (id) where c.merged_into is not null
            )
            select \(ConsultationRecord.columns) from consultations
            where id in (select id from line) and merged_into is null for no key update
            """)
        return try rows.first.map(ConsultationRecord.init(row:))
    }

    /// Keeps a webhook that no rule acts on; the same message a second time adds nothing.
    ///
    /// - Throws: `PostgresError`.
    package static func keepUnhandled(
        messageID: String, event: String, receivedAt: Date, body: [UInt8], in transaction: Transaction
    ) async throws {
        _ = try await transaction.query(
            """
            insert into calendly_unhandled (message_id, event, received_at, body)
            values (\(messageID), \(event), \(receivedAt), \(body))
            on conflict on constraint calendly_unhandled_key do nothing
            """)
    }

    // MARK: - Reading

    private static func eventTypes(_ rows: Rows) throws -> [ConsultationKind: Set<String>] {
        try Dictionary(
            uniqueKeysWithValues: rows.map { row in
                (try row.decodeRaw("kind"), Set(try row.decode("event_types", as: [String].self)))
            })
    }

    /// Tells our advisory locks from those of others in the same database.
    private static let lockSpace: Int64 = 0x6361_6c65_6e64_6c79

    private static func owners(of uris: [String]) -> SQL {
        "select uri, consultation_id from calendly_invitees where uri = any(\(uris)::text[])"
    }

    private static func lockAndRead(
        _ ids: Set<ConsultationID>, _ eventTypes: [ConsultationKind: Set<String>], in transaction: Transaction
    ) async throws -> LockedChains {
        let ids = ids.map(\.rawValue).sorted()
        let results = try await transaction.pipeline([
            """
            select \(ConsultationRecord.columns) from consultations
            where id = any(\(ids)::text[]) order by id for no key update
            """,
            "select \(InviteeRecord.columns) from calendly_invitees where consultation_id = any(\(ids)::text[])",
        ])
        let invitees = try results[1].map { row in
            (try InviteeRecord(row: row), try row.decodeRaw("consultation_id", as: ConsultationID.self))
        }
        return LockedChains(
            invitees: invitees.map(\.0),
            owners: Dictionary(uniqueKeysWithValues: invitees.map { ($0.0.uri, $0.1) }),
            consultations: try results[0].map(ConsultationRecord.init(row:)).filter { $0.mergedInto == nil },
            eventTypes: eventTypes)
    }

    private struct OwnerChanged: Error {}
}

extension PostgresError {
    /// Chains kept changing hands; it is worth another attempt.
    fileprivate static var contention: PostgresError {
        PostgresError(.timeout, "the consultations of a chain kept being merged while it was to be locked")
    }
}
