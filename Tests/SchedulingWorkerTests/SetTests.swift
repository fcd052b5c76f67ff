import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import SchedulingWorker
import TestSupport
import Testing
import WorkerRuntime

extension Office {
    /// Handles messages as one set, as the runtime does: all or none.
    ///
    /// - Returns: nil if the handler refused the set.
    func handleTogether(_ envelopes: [Envelope]) async throws -> [Outcome]? {
        let clock = try #require(SiteClock(identifier: "America/New_York"))
        let handler = SchedulingHandler(companyClock: clock)
        struct Refused: Error {}
        do {
            return try await pool.withTransaction { transaction in
                if let role { _ = try await transaction.query("set local role \(identifier: role)") }
                _ = try await Inbox.insert(
                    consumer: "scheduling", messageIDs: envelopes.map(\.id), in: transaction)
                let context = HandlerContext(transaction: transaction, now: now, worker: "test-1", logger: .silent)
                let members = try envelopes.map {
                    SetMember(item: try #require(handler.item(of: $0)), envelope: $0, context: context)
                }
                guard let outcomes = try await handler.handle(members) else { throw Refused() }
                return outcomes
            }
        } catch is Refused {
            return nil
        }
    }
}

/// A set of bookings ends as they would have ended one after the other; of moves and cancellations what holds is the same.
@Suite(.timeLimit(.minutes(3))) struct SetTests {
    private struct Step {
        var type: MessageType
        var consultation: Int
        var sequence: Int
        var hour: Int
        var hosts: [ConsultationEvent.Host]
    }

    /// Some bookings on few days among few people, then moves and cancellations of some of them.
    private static func steps(_ seed: UInt64) -> [[Step]] {
        var generator = SeededGenerator(seed: seed)
        func hour() -> Int { Int.random(in: 0...5, using: &generator) }
        let count = Int.random(in: 3...9, using: &generator)
        let booked = (0..<count).map { consultation in
            Step(
                type: .consultationBooked, consultation: consultation, sequence: 0, hour: hour(),
                hosts: Bool.random(using: &generator) ? [.init(user: "https://api.calendly.com/users/LEE")] : [])
        }
        let changed = (0..<count).filter { _ in Bool.random(using: &generator) }.map { consultation in
            Step(
                type: Bool.random(using: &generator) ? .consultationRescheduled : .consultationCanceled,
                consultation: consultation, sequence: 1, hour: hour(), hosts: [])
        }
        return [booked, changed]
    }

    private let starts = (0..<6).map { "2027-03-16T\(13 + $0):00:00Z" }

    /// An office with three people, and nine consultations.
    private func withConsultations(_ body: (Office, [ConsultationID]) async throws -> Void) async throws {
        try await Office.open { office in
            for name in ["Alex", "Dana"] { try await office.add(.estimator, name) }
            try await office.add(.estimator, "Lee", calendlyUser: "https://api.calendly.com/users/LEE")
            var ids: [ConsultationID] = []
            for _ in 0..<9 { ids.append(try await office.addConsultation(starts[0])) }
            try await body(office, ids)
        }
    }

    private func events(_ steps: [Step], _ ids: [ConsultationID], _ office: Office) throws -> [Envelope] {
        try steps.map {
            try office.event(
                $0.type, ids[$0.consultation], sequence: $0.sequence, start: starts[$0.hour],
                previous: $0.type == .consultationRescheduled ? starts[0] : nil, hosts: $0.hosts)
        }
    }

    /// How each consultation stands, and what was published.
    private func story(_ office: Office, _ ids: [ConsultationID]) async throws -> [String] {
        var lines: [String] = []
        for id in ids {
            lines += try await office.pool.query(
                """
                select c.assignment || ' ' || coalesce(r.name, '-') || ' ' || coalesce(
                    (select string_agg(during::text, ',') from allocations a
                     where a.active and a.subject_id = c.appointment), '-') as line
                from consultations c left join resources r on r.id = c.assignee where c.id = \(id.rawValue)
                """
            ).map { try $0.decode("line", as: String.self) }
        }
        return try await lines + office.publishedTypes().sorted()
    }

    @Test(arguments: UInt64(1)...12)
    func bookingsEndAsOneAfterTheOther(seed: UInt64) async throws {
        var together: [String] = []
        try await withConsultations { office, ids in
            let events = try events(Self.steps(seed)[0], ids, office)
            #expect(try await office.handleTogether(events) == events.map { _ in .done })
            together = try await story(office, ids)
        }
        try await withConsultations { office, ids in
            for event in try events(Self.steps(seed)[0], ids, office) { try await office.handle(event) }
            #expect(try await story(office, ids) == together)
        }
    }

    @Test(arguments: UInt64(1)...12)
    func afterMovesAndCancellationsOnlyThoseHaveNobodyWhoCanHaveNobody(seed: UInt64) async throws {
        try await withConsultations { office, ids in
            for part in Self.steps(seed) {
                let events = try events(part, ids, office)
                #expect(try await office.handleTogether(events) == events.map { _ in .done })
            }
            #expect(try await office.overlaps() == 0)
            let holding = try await office.count(
                """
                select count(*)::int from consultations c where (assignment = 'assigned') is distinct from exists (
                    select from allocations a where a.active and a.subject_id = c.appointment
                        and a.resource_id = c.assignee)
                """)
            #expect(holding == 0, "whoever is assigned holds the time, and nobody else")
            let wrongly = try await office.count(
                """
                select count(*)::int from appointments p
                join consultations c on c.appointment = p.id and c.assignment = 'unassigned' and c.assignment_sequence = 1
                where exists (
                    select from resources r where not exists (
                        select from allocations a where a.active and a.resource_id = r.id
                            and a.during && tstzrange(p.starts_at - interval '15 minutes', p.ends_at + interval '15 minutes')))
                """)
            #expect(wrongly == 0, "somebody is free for one that was moved and has nobody")
        }
    }

    @Test func twoThatShareAnAppointmentAreNotASet() async throws {
        try await Office.open { office in
            try await office.add(.estimator, "Alex")
            let start = "2027-03-16T13:00:00Z"
            let group = ConsultationEvent.CalendarEvent(uri: "https://api.calendly.com/e/1", asOf: office.now)
            let ids = [try await office.addConsultation(start), try await office.addConsultation(start)]
            let events = try ids.map {
                try office.event(.consultationBooked, $0, sequence: 0, start: start, calendarEvent: group)
            }
            #expect(try await office.handleTogether(events) == nil)
            #expect(try await office.allocations().isEmpty)
            #expect(try await office.publishedTypes().isEmpty)
            let handler = SchedulingHandler(companyClock: try #require(SiteClock(identifier: "America/New_York")))
            let subjects = try events.map { handler.subjects(of: try #require(handler.item(of: $0))) }
            #expect(!subjects[0].isDisjoint(with: subjects[1]))
        }
    }

    @Test func concurrentSetsForTheSamePeopleNeverOverlap() async throws {
        try await Office.open(poolSize: 8) { office in
            for name in ["Alex", "Dana", "Lee"] { try await office.add(.estimator, name) }
            let start = "2027-03-16T13:00:00Z"
            var sets: [[Envelope]] = []
            for _ in 0..<6 {
                var set: [Envelope] = []
                for _ in 0..<2 {
                    set.append(
                        try office.event(
                            .consultationBooked, try await office.addConsultation(start), sequence: 0, start: start))
                }
                sets.append(set)
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for set in sets {
                    group.addTask {
                        var outcomes: [Outcome]?
                        while outcomes == nil {
                            do {
                                outcomes = try await office.handleTogether(set)
                            } catch let error as PostgresError where error.isRetriable {
                                continue
                            }
                        }
                        #expect(outcomes == [.done, .done])
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await office.overlaps() == 0)
            #expect(try await office.allocations().count == 3)
            #expect(
                try await office.count("select count(*)::int from consultations where assignment = 'unassigned'") == 9)
        }
    }
}
