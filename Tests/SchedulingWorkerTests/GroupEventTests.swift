import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import TestSupport
import Testing
import WorkerRuntime

extension Office {
    /// Invitees of one event at Calendly.
    struct Group: Sendable {
        let office: Office
        let uri: String

        /// - Parameter asOf: seconds; of two times of the event the later one counts.
        func event(
            _ type: MessageType, _ consultation: ConsultationID, sequence: Int, start: String, previous: String? = nil,
            asOf: Double = 0, hosts: [ConsultationEvent.Host] = []
        ) throws -> Envelope {
            try office.event(
                type, consultation, sequence: sequence, start: start, previous: previous, hosts: hosts,
                calendarEvent: .init(uri: uri, asOf: try instant("2027-02-01T00:00:00Z") + asOf))
        }
    }

    func group(_ name: String = "G") -> Group { Group(office: self, uri: "https://api.calendly.com/events/\(name)") }

    func invitees(_ count: Int, on start: String) async throws -> [ConsultationID] {
        var ids: [ConsultationID] = []
        for _ in 0..<count { ids.append(try await addConsultation(start)) }
        return ids
    }

    func released() async throws -> [ConsultationAssignmentEvent] {
        try await published(.consultationReleased, as: ConsultationAssignmentEvent.self)
    }

    /// Consultations whose row says another estimator than the one whose time their appointment holds.
    func disagreements() async throws -> Int {
        try await count(
            """
            select count(*) from consultations c left join appointments p on p.id = c.appointment
            left join allocations a on a.active and a.subject_kind = 'appointment' and a.subject_id = p.id
            where (c.assignment = 'assigned') is distinct from (a.id is not null)
                or c.assignee is distinct from a.resource_id or c.assignee is distinct from p.assignee
                    and c.appointment is not null
            """)
    }
}

@Suite(.timeLimit(.minutes(3))) struct GroupEventTests {
    private let tuesday = "2027-03-16T13:00:00Z"
    private let wednesday = "2027-03-17T13:00:00Z"

    @Test func inviteesOfOneEventShareOneEstimatorAndOneAllocation() async throws {
        try await Office.open { office in
            for name in ["Alex", "Blair", "Casey"] { try await office.add(.estimator, name) }
            let ids = try await office.invitees(3, on: tuesday)
            let group = office.group()
            for id in ids {
                try await office.handle(try group.event(.consultationBooked, id, sequence: 1, start: tuesday))
            }
            #expect(
                try await office.allocations() == [
                    Office.Taken(
                        resource: "Alex", from: try instant("2027-03-16T12:45:00Z"),
                        to: try instant("2027-03-16T14:15:00Z"), subject: group.uri)
                ])
            for id in ids { #expect(try await office.consultation(id).assignee?.name == "Alex") }
            // One mail for each customer, and each says that the others are there too.
            let assigned = try await office.assigned()
            #expect(assigned.map(\.consultation) == ids && assigned.map(\.companions) == [0, 1, 2])
            #expect(assigned.allSatisfy { !$0.isUpdate })
            // Another event at that time is another visit.
            let other = try await office.addConsultation(tuesday)
            try await office.handle(
                try office.group("H").event(.consultationBooked, other, sequence: 1, start: tuesday))
            #expect(try await office.consultation(other).assignee?.name == "Blair")
        }
    }

    @Test func theTimeIsGivenBackWhenTheLastInviteeLeaves() async throws {
        try await Office.open { office in
            try await office.add(.estimator, "Alex")
            let ids = try await office.invitees(3, on: tuesday)
            let group = office.group()
            for id in ids.prefix(2) {
                try await office.handle(try group.event(.consultationBooked, id, sequence: 1, start: tuesday))
            }
            try await office.handle(try group.event(.consultationCanceled, ids[0], sequence: 2, start: tuesday))
            #expect(try await office.allocations().map(\.subject) == [group.uri])
            #expect(try await office.consultation(ids[1]).assignment == .assigned)
            try await office.handle(try group.event(.consultationCanceled, ids[1], sequence: 2, start: tuesday))
            #expect(try await office.allocations().isEmpty)
            // The first farewell says that the visit goes on, the second one does not.
            #expect(try await office.released().map(\.companions) == [1, 0])
            // The event is still there for whoever comes next.
            try await office.handle(try group.event(.consultationBooked, ids[2], sequence: 1, start: tuesday))
            #expect(try await office.allocations().map(\.subject) == [group.uri])
            #expect(try await office.disagreements() == 0)
        }
    }

    @Test func anEventMovesAsOneAndAnOlderWordDoesNotMoveItBack() async throws {
        try await Office.open { office in
            for name in ["Alex", "Blair"] { try await office.add(.estimator, name) }
            let ids = try await office.invitees(3, on: tuesday)
            let group = office.group()
            for id in ids.prefix(2) {
                try await office.handle(try group.event(.consultationBooked, id, sequence: 1, start: tuesday))
            }
            try await office.handle(
                try group.event(
                    .consultationRescheduled, ids[0], sequence: 2, start: wednesday, previous: tuesday, asOf: 60))
            let moved = Office.Taken(
                resource: "Alex", from: try instant("2027-03-17T12:45:00Z"), to: try instant("2027-03-17T14:15:00Z"),
                subject: group.uri)
            #expect(try await office.allocations() == [moved])
            // Late, and about the time before; the estimator hears the time that holds.
            try await office.handle(try group.event(.consultationBooked, ids[2], sequence: 1, start: tuesday))
            #expect(try await office.allocations() == [moved])
            #expect(try await office.assigned().last?.visit.startsAt == (try instant(wednesday)))
            for id in ids.dropFirst() {
                try await office.handle(
                    try group.event(
                        .consultationRescheduled, id, sequence: 2, start: wednesday, previous: tuesday, asOf: 60))
            }
            #expect(try await office.allocations() == [moved])
            #expect(try await office.released().isEmpty)
            #expect(try await office.assigned().map(\.isUpdate) == [false, false, true, false, true, true])
        }
    }

    /// The companion has no news of its own, so nothing but the revision tells the third word from the first.
    @Test func aCompanionThatComesBackToTheFirstEstimatorIsAChangeOfItsOwn() async throws {
        try await Office.open { office in
            let alex = try await office.add(.estimator, "Alex")
            let blair = try await office.add(.estimator, "Blair")
            let ids = try await office.invitees(2, on: tuesday)
            let group = office.group()
            for id in ids {
                try await office.handle(try group.event(.consultationBooked, id, sequence: 1, start: tuesday))
            }
            let first = try #require(try await office.consultation(ids[1]).assignee?.id)
            let second = first == alex ? blair : alex
            let thursday = "2027-03-18T13:00:00Z"
            for (turn, day, previous, taken) in [(1, wednesday, tuesday, first), (2, thursday, wednesday, second)] {
                let hour = day.prefix(11)
                try await office.occupy(taken, "\(hour)13:00:00Z", "\(hour)13:30:00Z")
                try await office.handle(
                    try group.event(
                        .consultationRescheduled, ids[0], sequence: 1 + turn, start: day, previous: previous,
                        asOf: Double(60 * turn)))
            }
            let told = try await office.assigned().filter { $0.consultation == ids[1] }
            #expect(told.map(\.assignee?.id) == [first, second, first])
            #expect(told.allSatisfy { $0.sequence == 1 })
            let revisions = told.compactMap(\.revision)
            #expect(revisions.count == 3 && Set(revisions).count == 3 && revisions == revisions.sorted())
        }
    }

    @Test func anEventThatTheEstimatorCannotFollowGoesToAnotherForAll() async throws {
        try await Office.open { office in
            let alex = try await office.add(.estimator, "Alex")
            try await office.add(.estimator, "Blair")
            let ids = try await office.invitees(2, on: tuesday)
            let group = office.group()
            for id in ids {
                try await office.handle(try group.event(.consultationBooked, id, sequence: 1, start: tuesday))
            }
            try await office.occupy(alex, "2027-03-17T13:00:00Z", "2027-03-17T13:30:00Z")
            try await office.handle(
                try group.event(
                    .consultationRescheduled, ids[0], sequence: 2, start: wednesday, previous: tuesday, asOf: 60))
            // Also the one of whom nothing has been heard yet.
            for id in ids { #expect(try await office.consultation(id).assignee?.name == "Blair") }
            #expect(try await office.allocations().map(\.resource) == ["Blair"])
            #expect(Set(try await office.released().map(\.consultation)) == Set(ids))
            #expect(try await office.released().allSatisfy { $0.assignee?.name == "Alex" && $0.companions == 0 })
            #expect(try await office.disagreements() == 0)
        }
    }

    @Test func oneWhoMovesToAnotherEventLeavesTheOthersTheirEstimator() async throws {
        try await Office.open { office in
            for name in ["Alex", "Blair"] { try await office.add(.estimator, name) }
            let ids = try await office.invitees(2, on: tuesday)
            for id in ids {
                try await office.handle(try office.group().event(.consultationBooked, id, sequence: 1, start: tuesday))
            }
            try await office.handle(
                try office.group("H").event(
                    .consultationRescheduled, ids[0], sequence: 2, start: "2027-03-16T13:30:00Z", previous: tuesday,
                    asOf: 60))
            // Alex is with the others at that time.
            #expect(try await office.consultation(ids[0]).assignee?.name == "Blair")
            #expect(try await office.consultation(ids[1]).assignee?.name == "Alex")
            #expect(try await office.released().map(\.companions) == [1])
            #expect(try await office.overlaps() == 0)
            #expect(try await office.disagreements() == 0)
        }
    }

    @Test func aSingleVisitMovesWithItsNewEventAndKeepsItsEstimator() async throws {
        try await Office.open { office in
            try await office.add(.estimator, "Alex")
            let id = try await office.addConsultation(tuesday)
            try await office.handle(try office.group().event(.consultationBooked, id, sequence: 1, start: tuesday))
            // Within the buffer of the old time, which must not stand in its own way.
            try await office.handle(
                try office.group("H").event(
                    .consultationRescheduled, id, sequence: 2, start: "2027-03-16T13:30:00Z", previous: tuesday,
                    asOf: 60))
            #expect(try await office.allocations().map(\.subject) == [office.group("H").uri])
            #expect(try await office.assigned().map(\.isUpdate) == [false, true])
        }
    }

    @Test func whenSomebodyIsFoundAtLastAllInviteesAreTold() async throws {
        try await Office.open { office in
            let alex = try await office.add(.estimator, "Alex")
            try await office.occupy(alex, "2027-03-16T13:00:00Z", "2027-03-16T13:30:00Z")
            let ids = try await office.invitees(3, on: tuesday)
            let group = office.group()
            for id in ids.prefix(2) {
                try await office.handle(try group.event(.consultationBooked, id, sequence: 1, start: tuesday))
            }
            #expect(try await office.consultation(ids[0]).assignment == .unassigned)
            #expect(try await office.consultation(ids[1]).alternatives.count == 5)
            _ = try await office.pool.query("update allocations set active = false, released_at = now()")
            try await office.handle(try group.event(.consultationBooked, ids[2], sequence: 1, start: tuesday))
            for id in ids { #expect(try await office.consultation(id).assignee?.id == alex) }
            #expect(Set(try await office.assigned().map(\.consultation)) == Set(ids))
            #expect(try await office.allocations().count == 1)
        }
    }

    /// Two invitees of an event that is booked, moved and left by one of them, in every order.
    @Test func everyOrderEndsInTheSameRows() async throws {
        try await Office.open { office in
            for name in ["Alex", "Lee"] { try await office.add(.estimator, name, calendlyUser: "u/\(name)") }
            for (run, order) in permutations(of: [0, 1, 2, 3, 4]).enumerated() {
                let ids = try await office.invitees(2, on: tuesday)
                let group = office.group("run-\(run)")
                let hosts = [ConsultationEvent.Host(user: "u/Lee")]
                let events = [
                    try group.event(.consultationBooked, ids[0], sequence: 1, start: tuesday, hosts: hosts),
                    try group.event(
                        .consultationRescheduled, ids[0], sequence: 2, start: wednesday, previous: tuesday, asOf: 60,
                        hosts: hosts),
                    try group.event(
                        .consultationCanceled, ids[0], sequence: 3, start: wednesday, asOf: 60, hosts: hosts),
                    try group.event(.consultationBooked, ids[1], sequence: 1, start: tuesday, hosts: hosts),
                    try group.event(
                        .consultationRescheduled, ids[1], sequence: 2, start: wednesday, previous: tuesday, asOf: 60,
                        hosts: hosts),
                ]
                for index in order { try await office.handle(events[index]) }
                let expected = Office.Taken(
                    resource: "Lee", from: try instant("2027-03-17T12:45:00Z"), to: try instant("2027-03-17T14:15:00Z"),
                    subject: group.uri)
                #expect(try await office.allocations() == [expected], "\(order)")
                #expect(try await office.consultation(ids[0]).assignment == .released)
                #expect(try await office.consultation(ids[1]).assignee?.name == "Lee")
                #expect(try await office.disagreements() == 0)
                try await office.handle(
                    try group.event(.consultationCanceled, ids[1], sequence: 3, start: wednesday, asOf: 60))
                #expect(try await office.allocations().isEmpty)
            }
        }
    }

    // MARK: - From the version before

    @Test func whatWasBookedBeforeAppointmentsIsKeptAndShared() async throws {
        let all = try Schema.migrations()
        try await withScratchDatabase(migrations: all.filter { $0.version < 5 }) { pool in
            let office = Office(pool: pool, now: try instant("2027-03-01T12:00:00Z"))
            let alex = try await office.add(.estimator, "Alex")
            try await office.add(.estimator, "Blair")
            let ids = try await office.invitees(2, on: tuesday)
            let uri = office.group().uri
            _ = try await pool.query(
                """
                insert into calendly_invitees (uri, event_uri, consultation_id) values (\(ids[0].rawValue), \(uri),
                    \(ids[0].rawValue))
                """)
            _ = try await pool.query(
                """
                update consultations set assignment = 'assigned', assignee = \(alex.rawValue), assignment_sequence = 1
                where id = \(ids[0].rawValue)
                """)
            _ = try await pool.query(
                """
                insert into allocations (resource_id, during, subject_kind, subject_id)
                values (\(alex.rawValue), '[2027-03-16 12:45Z,2027-03-16 14:15Z)', 'consultation', \(ids[0].rawValue))
                """)
            for migration in all where migration.version >= 5 {
                try await pool.withTransaction { try await $0.script(migration.sql) }
            }
            #expect(try await office.disagreements() == 0)
            try await office.handle(
                try office.group().event(.consultationBooked, ids[1], sequence: 1, start: tuesday))
            #expect(try await office.consultation(ids[1]).assignee?.name == "Alex")
            #expect(try await office.allocations().map(\.subject) == [uri])
        }
    }
}
