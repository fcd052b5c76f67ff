package import Domain
package import Postgres

/// What has to be known to give consultations an estimator: rules, people, and how much these have to do.
package struct ConsultationDesk: Sendable {
    package var types: [ConsultationKind: ConsultationType]
    /// Active ones, by id.
    package var estimators: [Resource]
    package var loads: ResourceLoads
    private let hours: BusinessHours

    /// Reads it in one round trip.
    ///
    /// - Parameter weeks: those in which the loads are wanted.
    /// - Throws: `PostgresError`.
    package static func load(
        weeks: Set<ResourceLoads.Week>, in transaction: Transaction
    ) async throws -> ConsultationDesk {
        let answers = try await transaction.pipeline(
            [BookingRules.consultationTypes, Resources.reading(.estimator), ResourceLoads.reading(weeks)]
                + BusinessHours.reading)
        let types = try answers[0].map(ConsultationType.init(row:))
        return ConsultationDesk(
            types: Dictionary(uniqueKeysWithValues: types.map { ($0.kind, $0) }),
            estimators: try answers[1].map(Resource.init(row:)), loads: try ResourceLoads(answers[2]),
            hours: try BusinessHours(answers[3], holidays: answers[4]))
    }

    /// Business hours and holidays as they are at a site.
    package func calendar(for clock: SiteClock) -> BusinessCalendar {
        hours.calendar(for: clock)
    }
}
