import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import Testing
import WorkerRuntime

/// Consultations as the sync worker leaves them.
extension Office {
    func addConsultation(_ start: String, kind: ConsultationKind = .residential) async throws -> ConsultationID {
        let id = ConsultationID.make()
        let startsAt = try instant(start)
        _ = try await pool.query(
            """
            insert into consultations (id, kind, state, customer_name, starts_at, ends_at, time_zone, answers,
                current_invitee)
            values (\(id.rawValue), \(kind.rawValue), 'booked', 'Ann Example', \(startsAt), \(startsAt + 3600),
                'America/New_York', '{"project_type": "driveway", "How_Did you hear?": "radio"}', \(id.rawValue))
            """)
        return id
    }

    func event(
        _ type: MessageType, _ id: ConsultationID, sequence: Int, start: String, previous: String? = nil,
        kind: ConsultationKind = .residential, hosts: [ConsultationEvent.Host] = [],
        calendarEvent: ConsultationEvent.CalendarEvent? = nil, copy: Int = 0
    ) throws -> Envelope {
        func visit(_ start: String) throws -> Visit {
            let startsAt = try instant(start)
            return Visit(startsAt: startsAt, endsAt: startsAt + 3600, timeZone: "America/New_York")
        }
        let body = ConsultationEvent(
            consultation: id, sequence: sequence, kind: kind, customer: Self.customer, visit: try visit(start),
            previousVisit: try previous.map(visit), address: "12 Sample Road", hosts: hosts,
            calendarEvent: calendarEvent)
        return Envelope(
            id: "\(type)-\(id)-\(sequence)-\(copy)", type: type, timestamp: now, body: try WireJSON.encode(body))
    }

    func consultation(_ id: ConsultationID) async throws -> ConsultationView {
        try #require(try await ConsultationReads(pool: pool).find(id))
    }

    func assigned() async throws -> [ConsultationAssignmentEvent] {
        try await published(.consultationAssigned, as: ConsultationAssignmentEvent.self)
    }
}

@Suite(.timeLimit(.minutes(2))) struct ConsultationTests {
    private let tuesday = "2027-03-16T13:00:00Z"
    private let wednesday = "2027-03-17T13:00:00Z"

    @Test func theHostAtCalendlyGoesByURIOrByMail() async throws {
        try await Office.open { office in
            try await office.add(.estimator, "Alex")
            try await office.add(.estimator, "Dana", email: "Dana@Example.com")
            try await office.add(.estimator, "Lee", calendlyUser: "https://api.calendly.com/users/LEE")
            let first = try await office.addConsultation(tuesday)
            try await office.handle(
                try office.event(
                    .consultationBooked, first, sequence: 0, start: tuesday,
                    hosts: [.init(user: "https://api.calendly.com/users/LEE")]))
            #expect(try await office.consultation(first).assignee?.name == "Lee")
            let second = try await office.addConsultation(tuesday)
            try await office.handle(
                try office.event(
                    .consultationBooked, second, sequence: 0, start: tuesday,
                    hosts: [.init(user: "https://api.calendly.com/users/DANA", email: "dana@example.com")]))
            let view = try await office.consultation(second)
            #expect(view.assignee?.name == "Dana" && view.assignment == .assigned && view.reasons.isEmpty)
            #expect(view.answers == ["project_type": "driveway", "How_Did you hear?": "radio"])
            let third = try await office.addConsultation(tuesday)
            try await office.handle(try office.event(.consultationBooked, third, sequence: 0, start: tuesday))
            #expect(try await office.consultation(third).assignee?.name == "Alex")
            // Fifteen minutes before and after are the estimator's.
            let taken = try await office.allocations()
            #expect(taken.allSatisfy { $0.from == (try? instant("2027-03-16T12:45:00Z")) })
            #expect(taken.allSatisfy { $0.to == (try? instant("2027-03-16T14:15:00Z")) })
            #expect(try await office.assigned().map(\.isUpdate) == [false, false, false])
        }
    }

    @Test func aTakenHostIsReplacedAndTheRowSaysWhy() async throws {
        try await Office.open { office in
            try await office.add(.estimator, "Alex")
            let lee = try await office.add(.estimator, "Lee", calendlyUser: "u/LEE")
            try await office.occupy(lee, "2027-03-16T12:00:00Z", "2027-03-16T13:30:00Z")
            let id = try await office.addConsultation(tuesday)
            try await office.handle(
                try office.event(.consultationBooked, id, sequence: 0, start: tuesday, hosts: [.init(user: "u/LEE")]))
            let view = try await office.consultation(id)
            #expect(view.assignee?.name == "Alex")
            #expect(view.reasons == ["Lee, the host at Calendly, is taken at that time."])
        }
    }

    @Test func aMoveKeepsTheEstimatorAndIsAnUpdateForThem() async throws {
        try await Office.open { office in
            try await office.add(.estimator, "Alex")
            let blair = try await office.add(.estimator, "Blair")
            let id = try await office.addConsultation(tuesday)
            try await office.occupy(
                try #require(try await office.resource("Alex")), "2027-03-16T13:00:00Z", "2027-03-16T13:30:00Z")
            try await office.handle(try office.event(.consultationBooked, id, sequence: 0, start: tuesday))
            #expect(try await office.consultation(id).assignee?.id == blair)
            // Alex is less busy that week, yet Blair has the customer already.
            try await office.handle(
                try office.event(.consultationRescheduled, id, sequence: 1, start: wednesday, previous: tuesday))
            #expect(try await office.consultation(id).assignee?.id == blair)
            #expect(try await office.allocations().map(\.from) == [try instant("2027-03-17T12:45:00Z")])
            let told = try await office.assigned()
            #expect(told.map(\.isUpdate) == [false, true])
            #expect(told.map(\.previousVisit?.startsAt) == [nil, try instant(tuesday)])
            #expect(told.map(\.revision) == [1, 2])
            #expect(try await office.publishedTypes() == ["consultation.assigned", "consultation.assigned"])
        }
    }

    @Test func aMoveToWhereTheEstimatorIsTakenReleasesOneAndAssignsAnother() async throws {
        try await Office.open { office in
            let alex = try await office.add(.estimator, "Alex")
            try await office.add(.estimator, "Blair")
            let id = try await office.addConsultation(tuesday)
            try await office.handle(try office.event(.consultationBooked, id, sequence: 0, start: tuesday))
            try await office.occupy(alex, "2027-03-17T13:00:00Z", "2027-03-17T13:30:00Z")
            try await office.handle(
                try office.event(.consultationRescheduled, id, sequence: 1, start: wednesday, previous: tuesday))
            #expect(try await office.allocations().map(\.resource) == ["Blair"])
            let released = try await office.published(.consultationReleased, as: ConsultationAssignmentEvent.self)
            #expect(released.map(\.assignee?.name) == ["Alex"])
            #expect(released.first?.visit.startsAt == (try instant(tuesday)))
            #expect(try await office.assigned().map(\.isUpdate) == [false, false])
        }
    }

    @Test func aConsultationThatNobodyCanTakeSaysWhyAndWhatWouldWork() async throws {
        try await Office.open { office in
            let alex = try await office.add(.estimator, "Alex")
            let id = try await office.addConsultation(tuesday)
            try await office.handle(try office.event(.consultationBooked, id, sequence: 0, start: tuesday))
            try await office.occupy(alex, "2027-03-17T12:00:00Z", "2027-03-17T18:30:00Z")
            let moved = try office.event(.consultationRescheduled, id, sequence: 1, start: wednesday, previous: tuesday)
            #expect(try await office.handle(moved) == .outcome(.done))
            let view = try await office.consultation(id)
            #expect(view.assignment == .unassigned && view.assignee == nil)
            #expect(view.reasons == ["Alex is taken 08:00-14:30 EDT."])
            #expect(view.alternatives.count == 5)
            // The nearest time with buffers clear of what is taken: 14:30 and a quarter of an hour, to the next half.
            #expect(view.alternatives.contains { $0.startsAt == (try? instant("2027-03-17T19:00:00Z")) })
            #expect(try await office.allocations().isEmpty)
            let notice = try #require(
                try await office.published(.consultationUnassigned, as: ConsultationAssignmentEvent.self).first)
            #expect(notice.reasons == view.reasons && notice.alternatives == view.alternatives)
            #expect(
                try await office.publishedTypes()
                    == ["consultation.assigned", "consultation.released", "consultation.unassigned"])
        }
    }

    @Test func withoutEstimatorsTheReasonSaysWhatToDo() async throws {
        try await Office.open { office in
            let id = try await office.addConsultation(tuesday)
            try await office.handle(try office.event(.consultationBooked, id, sequence: 0, start: tuesday))
            let view = try await office.consultation(id)
            #expect(view.reasons == ["There is no active estimator. Import one with `neff resources import`."])
            #expect(view.alternatives.isEmpty)
        }
    }

    @Test func aBookingAfterHoursIsKeptWithANote() async throws {
        try await Office.open { office in
            try await office.add(.estimator, "Alex")
            let saturday = "2027-03-13T15:00:00Z"
            let id = try await office.addConsultation(saturday)
            try await office.handle(try office.event(.consultationBooked, id, sequence: 0, start: saturday))
            let view = try await office.consultation(id)
            #expect(view.assignment == .assigned && view.reasons == ["2027-03-13 is not a working day."])
            let emergency = try await office.addConsultation(saturday, kind: .emergency)
            try await office.add(.estimator, "Blair")
            try await office.handle(
                try office.event(.consultationBooked, emergency, sequence: 0, start: saturday, kind: .emergency))
            #expect(try await office.consultation(emergency).reasons.isEmpty)
        }
    }

    @Test func aNoShowKeepsItsEstimator() async throws {
        try await Office.open { office in
            try await office.add(.estimator, "Alex")
            let id = try await office.addConsultation(tuesday)
            try await office.handle(try office.event(.consultationBooked, id, sequence: 0, start: tuesday))
            let before = try await office.allocations()
            for type in [MessageType.consultationNoShowMarked, .consultationNoShowCleared] {
                try await office.handle(try office.event(type, id, sequence: 1, start: tuesday))
            }
            #expect(try await office.allocations() == before)
            // A move with the same sequence is not taken for old because of them.
            try await office.handle(
                try office.event(.consultationRescheduled, id, sequence: 1, start: wednesday, previous: tuesday))
            #expect(try await office.allocations().map(\.from) == [try instant("2027-03-17T12:45:00Z")])
        }
    }

    /// Every order, each message three times under its own id and once more under another id.
    @Test(arguments: permutations(of: [0, 1, 2, 3]), [true, false])
    func everyOrderEndsInTheSameRows(order: [Int], endsCanceled: Bool) async throws {
        try await Office.open { office in
            try await office.add(.estimator, "Alex")
            try await office.add(.estimator, "Lee", calendlyUser: "u/LEE")
            let id = try await office.addConsultation(tuesday)
            let thursday = "2027-03-18T13:00:00Z"
            let hosts = [ConsultationEvent.Host(user: "u/LEE")]
            func events(copy: Int) throws -> [Envelope] {
                [
                    try office.event(
                        .consultationBooked, id, sequence: 0, start: tuesday, hosts: hosts, copy: copy),
                    try office.event(
                        .consultationRescheduled, id, sequence: 1, start: wednesday, previous: tuesday, hosts: hosts,
                        copy: copy),
                    try office.event(
                        .consultationRescheduled, id, sequence: 2, start: thursday, previous: wednesday, hosts: hosts,
                        copy: copy),
                    endsCanceled
                        ? try office.event(
                            .consultationCanceled, id, sequence: 3, start: thursday, hosts: hosts, copy: copy)
                        : try office.event(
                            .consultationNoShowMarked, id, sequence: 3, start: thursday, hosts: hosts, copy: copy),
                ]
            }
            for index in order {
                for _ in 0..<3 { try await office.handle(try events(copy: 0)[index]) }
                try await office.handle(try events(copy: 1)[index])
            }
            let view = try await office.consultation(id)
            let taken = try await office.allocations()
            if endsCanceled {
                #expect(taken.isEmpty && view.assignment == .released && view.assignee == nil)
            } else {
                let expected = Office.Taken(
                    resource: "Lee", from: try instant("2027-03-18T12:45:00Z"), to: try instant("2027-03-18T14:15:00Z"),
                    subject: id.rawValue)
                #expect(taken == [expected] && view.assignment == .assigned && view.assignee?.name == "Lee")
            }
            // Whoever was told to come is told again when that changes: the last word to them is right.
            let last = try await office.publishedTypes().last
            #expect(
                last == (endsCanceled ? (order.first == 3 ? nil : "consultation.released") : "consultation.assigned"))
        }
    }

    @Test func theOtherHalfOfAMergedConsultationIsNotInTheWay() async throws {
        try await Office.open { office in
            try await office.add(.estimator, "Alex")
            let kept = try await office.addConsultation(tuesday)
            let half = try await office.addConsultation(wednesday)
            try await office.handle(try office.event(.consultationBooked, kept, sequence: 0, start: tuesday))
            try await office.handle(try office.event(.consultationBooked, half, sequence: 0, start: wednesday))
            _ = try await office.pool.query(
                "update consultations set merged_into = \(kept.rawValue) where id = \(half.rawValue)")
            try await office.handle(
                try office.event(.consultationRescheduled, kept, sequence: 1, start: wednesday, previous: tuesday))
            #expect(try await office.consultation(kept).assignee?.name == "Alex")
            try await office.handle(try office.event(.consultationCanceled, half, sequence: 1, start: wednesday))
            #expect(try await office.allocations().map(\.subject) == [kept.rawValue])
            #expect(try await office.consultation(half).assignment == .released)
        }
    }

    @Test func anEventWithoutItsConsultationIsDeadLettered() async throws {
        try await Office.open { office in
            let event = try office.event(.consultationBooked, .make(), sequence: 0, start: tuesday)
            guard case .outcome(.deadLetter(let code, _)) = try await office.handle(event) else {
                Issue.record("nothing else can be done with it")
                return
            }
            #expect(code == "unknown_consultation")
        }
    }

    @Test func manyBookingsAtOnceShareTheEstimatorsWithoutOverlap() async throws {
        try await Office.open(poolSize: 12) { office in
            for name in ["Alex", "Blair", "Casey"] { try await office.add(.estimator, name) }
            var ids: [ConsultationID] = []
            for _ in 0..<30 { ids.append(try await office.addConsultation(tuesday)) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for id in ids {
                    let event = try office.event(.consultationBooked, id, sequence: 0, start: tuesday)
                    group.addTask { try await office.handle(event) }
                }
                try await group.waitForAll()
            }
            #expect(try await office.allocations().map(\.resource) == ["Alex", "Blair", "Casey"])
            #expect(try await office.count("select count(*) from consultations where assignment = 'unassigned'") == 27)
            #expect(try await office.overlaps() == 0)
        }
    }
}

extension Office {
    func resource(_ name: String) async throws -> ResourceID? {
        try await pool.query("select id from resources where name = \(name)").first
            .flatMap { ResourceID(rawValue: try $0.decode("id", as: String.self)) }
    }
}

func permutations(of elements: [Int]) -> [[Int]] {
    guard elements.count > 1 else { return [elements] }
    return elements.indices.flatMap { index in
        var rest = elements
        let first = rest.remove(at: index)
        return permutations(of: rest).map { [first] + $0 }
    }
}
