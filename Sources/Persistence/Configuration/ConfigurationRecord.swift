package import Domain
package import Foundation
package import Postgres

/// A thing that people configure, such as a crew or a yard: what the API shows of it, and what the change log keeps.
package protocol ConfigurationRecord: Encodable, Equatable, Sendable {
    /// What a path names it by: an id, a code or a day.
    var key: String { get }
    /// The entity tag; goes up with each change.
    var version: Int { get set }
    var updatedAt: Date { get set }
}

/// A kind of such things: reads and writes its rows.
package protocol ConfigurationTable: Sendable {
    associatedtype Record: ConfigurationRecord

    /// As in `change_log.subject_kind`.
    var subjectKind: String { get }
    /// What people call one of them.
    var noun: String { get }
    /// Constraints that a request can violate, and what to tell of it.
    var violations: [String: Problem.FieldError] { get }

    /// - Parameter isLocked: whether other writers wait until the transaction ends.
    func find(_ key: String, isLocked: Bool, in transaction: Transaction) async throws -> Record?
    func insert(_ record: Record, in transaction: Transaction) async throws
    func update(_ record: Record, in transaction: Transaction) async throws
}

/// Who changes something and why, for the change log.
package struct ChangeNote: Hashable, Sendable {
    package var actor: String
    package var source: ChangeSource
    package var reason: String?
    package var requestID: String?
    package var at: Date

    package init(actor: String, source: ChangeSource, reason: String? = nil, requestID: String? = nil, at: Date) {
        self.actor = actor
        self.source = source
        self.reason = reason
        self.requestID = requestID
        self.at = at
    }
}

extension ConfigurationTable {
    /// Adds a record and its line in the change log.
    ///
    /// - Throws: `Problem.validation` if the database refuses it for what it says; the transaction is lost then.
    package func create(_ record: Record, _ note: ChangeNote, in transaction: Transaction) async throws -> Record {
        try await explaining { try await insert(record, in: transaction) }
        try await log(.created, of: record.key, from: nil, to: record, note, in: transaction)
        return record
    }

    /// Changes a record and adds a line to the change log. One that stays as it is keeps its version.
    ///
    /// - Parameters:
    ///   - expected: fails unless the record has this version; nil takes any.
    ///   - mutate: makes the new record from the present one.
    /// - Throws: `Problem`: not found, version mismatch, or what is wrong with the new record.
    package func change(
        _ key: String, expected: Int?, as type: ChangeType = .detailsChanged, _ note: ChangeNote,
        in transaction: Transaction, _ mutate: (inout Record) async throws -> Void
    ) async throws -> Record {
        let before = try await current(key, expected: expected, in: transaction)
        var after = before
        try await mutate(&after)
        guard after != before else { return before }
        after.version += 1
        after.updatedAt = note.at
        let changed = after
        try await explaining { try await update(changed, in: transaction) }
        try await log(type, of: key, from: before, to: changed, note, in: transaction)
        return changed
    }

    /// The record as it is now, which nobody else changes until the transaction ends.
    package func current(_ key: String, expected: Int?, in transaction: Transaction) async throws -> Record {
        guard let record = try await find(key, isLocked: true, in: transaction) else { throw Problem.notFound(noun) }
        if let expected, expected != record.version {
            throw Problem.versionMismatch(expected: expected, actual: record.version)
        }
        return record
    }

    package func log(
        _ type: ChangeType, of key: String, from before: Record?, to after: Record?, _ note: ChangeNote,
        in transaction: Transaction
    ) async throws {
        try await ChangeLog.append(
            ChangeLogEntry(
                at: note.at, subject: .configuration(kind: subjectKind, id: key), change: type,
                before: try before.map { try ChangeLogEntry.json($0) },
                after: try after.map { try ChangeLogEntry.json($0) }, actor: note.actor, source: note.source,
                reason: note.reason, requestID: note.requestID),
            in: transaction)
    }

    /// Turns what the schema forbids into what the caller can correct.
    private func explaining(_ write: () async throws -> Void) async throws {
        do {
            try await write()
        } catch let error as PostgresError {
            guard let fault = error.constraint.flatMap({ violations[$0] }) else { throw error }
            throw Problem.validation([fault])
        }
    }
}
