package import Domain
package import Foundation
package import Postgres

/// The booking policy of a kind of consultation. The kinds themselves are fixed.
package struct ConsultationTypeRecord: ConfigurationRecord, Hashable {
    package var kind: ConsultationKind
    package var name: String
    package var durationMinutes: Int
    package var bufferBeforeMinutes: Int
    package var bufferAfterMinutes: Int
    /// The shortest time from now to a start that is offered.
    package var noticeMinutes: Int
    package var horizonDays: Int
    /// From so long before its start, its time counts as fixed. It is told, not enforced.
    package var cutoffMinutes: Int
    package var anyHour: Bool
    /// Event types at Calendly that are this kind, by URI.
    package var eventTypes: [String]
    package var version: Int
    package var updatedAt: Date

    package var key: String { kind.rawValue }

    package init(
        kind: ConsultationKind, name: String, durationMinutes: Int, bufferBeforeMinutes: Int, bufferAfterMinutes: Int,
        noticeMinutes: Int, horizonDays: Int, cutoffMinutes: Int, anyHour: Bool, eventTypes: [String], version: Int,
        updatedAt: Date
    ) {
        self.kind = kind
        self.name = name
        self.durationMinutes = durationMinutes
        self.bufferBeforeMinutes = bufferBeforeMinutes
        self.bufferAfterMinutes = bufferAfterMinutes
        self.noticeMinutes = noticeMinutes
        self.horizonDays = horizonDays
        self.cutoffMinutes = cutoffMinutes
        self.anyHour = anyHour
        self.eventTypes = eventTypes
        self.version = version
        self.updatedAt = updatedAt
    }
}

package struct ConsultationTypeTable: ConfigurationTable {
    package init() {}

    package var subjectKind: String { "consultation_type" }
    package var noun: String { "consultation type" }
    package let violations: [String: Problem.FieldError] = [:]

    /// By kind; there are as many as there are kinds.
    package func list(in transaction: Transaction) async throws -> [ConsultationTypeRecord] {
        try await transaction.query(Self.select + " order by kind").map(Self.decode)
    }

    package func find(
        _ key: String, isLocked: Bool, in transaction: Transaction
    ) async throws -> ConsultationTypeRecord? {
        let rows = try await transaction.query(
            Self.select + " where kind = \(key)" + (isLocked ? " for no key update" : ""))
        return try rows.first.map(Self.decode)
    }

    /// A row for a kind that has none; the kinds that there may be are those of the program.
    package func insert(_ record: ConsultationTypeRecord, in transaction: Transaction) async throws {
        throw Problem.illegalTransition("The kinds of consultations are fixed.")
    }

    package func update(_ record: ConsultationTypeRecord, in transaction: Transaction) async throws {
        _ = try await transaction.query(
            """
            update consultation_types set
                name = \(record.name), duration_minutes = \(record.durationMinutes),
                buffer_before_minutes = \(record.bufferBeforeMinutes),
                buffer_after_minutes = \(record.bufferAfterMinutes), notice_minutes = \(record.noticeMinutes),
                horizon_days = \(record.horizonDays), cutoff_minutes = \(record.cutoffMinutes),
                any_hour = \(record.anyHour), event_types = \(record.eventTypes)::text[],
                version = \(record.version), updated_at = \(record.updatedAt)
            where kind = \(record.kind.rawValue)
            """)
    }

    private static let select: SQL =
        """
        select kind, name, duration_minutes, buffer_before_minutes, buffer_after_minutes, notice_minutes, horizon_days,
            cutoff_minutes, any_hour, event_types, version, updated_at
        from consultation_types
        """

    private static func decode(_ row: Row) throws -> ConsultationTypeRecord {
        ConsultationTypeRecord(
            kind: try row.decodeRaw("kind"), name: try row.decode("name"),
            durationMinutes: try row.decode("duration_minutes"),
            bufferBeforeMinutes: try row.decode("buffer_before_minutes"),
            bufferAfterMinutes: try row.decode("buffer_after_minutes"),
            noticeMinutes: try row.decode("notice_minutes"), horizonDays: try row.decode("horizon_days"),
            cutoffMinutes: try row.decode("cutoff_minutes"), anyHour: try row.decode("any_hour"),
            eventTypes: try row.decode("event_types", as: [String].self), version: try row.decode("version"),
            updatedAt: try row.decode("updated_at"))
    }
}
