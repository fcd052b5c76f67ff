import Domain
import Foundation
import Messaging
import NotificationWorker
import Persistence
import Testing

@Suite struct NoticePlannerTests {
    private let planner = NoticePlanner(officeEmail: "office@neff.example")

    private func plan(_ type: MessageType, _ body: some Encodable) throws -> [PlannedNotification] {
        try planner.notices(of: Sample.envelope(type, body))
    }

    /// Recipient, template and what it does to the calendar.
    private func told(_ type: MessageType, _ body: some Encodable) throws -> [String] {
        try plan(type, body).map { "\($0.recipient) \($0.template) \($0.facts.invitation)" }
    }

    @Test func theCustomerIsToldOfEachChangeOfAConsultation() throws {
        let event = try Sample.consultationEvent()
        #expect(try told(.consultationBooked, event) == ["ann@example.com consultation_booked request"])
        #expect(try told(.consultationRescheduled, event) == ["ann@example.com consultation_moved request"])
        #expect(try told(.consultationCanceled, event) == ["ann@example.com consultation_canceled cancel"])
    }

    @Test func aConsultationThatWasMergedIsNotCalledCanceled() throws {
        let event = try Sample.consultationEvent { $0.mergedInto = .make() }
        #expect(try told(.consultationCanceled, event) == ["ann@example.com consultation_merged cancel"])
    }

    @Test func theEstimatorIsToldWhoGoes() throws {
        let event = try Sample.assignment()
        #expect(try told(.consultationAssigned, event) == ["eve@neff.example visit_assigned request"])
        let update = try Sample.assignment { $0.isUpdate = true }
        #expect(try told(.consultationAssigned, update) == ["eve@neff.example visit_moved request"])
        #expect(try told(.consultationReleased, event) == ["eve@neff.example visit_released cancel"])
    }

    @Test func theEstimatorIsToldFromWhenAVisitMovedAndOfNoMoveIfTheTimeIsTheSame() throws {
        let before = try Sample.visit("2027-03-12T15:00:00Z")
        let move = try Sample.assignment { ($0.isUpdate, $0.revision, $0.previousVisit) = (true, 5, before) }
        let notice = try #require(try plan(.consultationAssigned, move).first)
        #expect(notice.template == "visit_moved" && notice.facts.previousVisit == before)
        #expect(notice.sequence == 5 && notice.occasion.hasSuffix("/5"))
        let stays = try Sample.assignment { ($0.isUpdate, $0.revision) = (true, 6) }
        #expect(try told(.consultationAssigned, stays) == ["eve@neff.example visit_assigned request"])
    }

    /// It had moved, unheard, before it was canceled.
    @Test func aCancellationNamesTheVisitThatTheCustomerKnows() throws {
        let known = try Sample.visit("2027-03-12T15:00:00Z")
        let event = try Sample.consultationEvent { $0.previousVisit = known }
        let notice = try #require(try plan(.consultationCanceled, event).first)
        #expect(notice.facts.visit == known && notice.facts.previousVisit == nil)
    }

    @Test func aVisitThatIsOverNeedsNoConfirmation() throws {
        let past = try Sample.visit("2026-03-16T13:00:00Z")
        let event = try Sample.consultationEvent { $0.visit = past }
        #expect(try told(.consultationBooked, event).isEmpty)
        #expect(try told(.consultationRescheduled, event).isEmpty)
        #expect(try told(.consultationCanceled, event) == ["ann@example.com consultation_canceled cancel"])
        let assignment = try Sample.assignment { $0.visit = past }
        #expect(try told(.consultationAssigned, assignment).isEmpty)
        #expect(try told(.consultationUnassigned, assignment).isEmpty)
        #expect(try told(.consultationReleased, assignment) == ["eve@neff.example visit_released cancel"])
        // It counts when the event was written, not when it is read: while the visit lasts, people are still told.
        let lasting = try Sample.consultationEvent {
            $0.visit.startsAt = Sample.now - 60
            $0.visit.endsAt = Sample.now + 60
        }
        #expect(try told(.consultationBooked, lasting) == ["ann@example.com consultation_booked request"])
    }

    @Test func theEstimatorIsToldWhoElseIsThere() throws {
        let shared = try Sample.assignment { $0.companions = 2 }
        #expect(try plan(.consultationAssigned, shared).map(\.facts.companions) == [2])
    }

    @Test func theOfficeIsToldIfNobodyCanGo() throws {
        let event = try Sample.assignment { $0.assignee = nil }
        #expect(try told(.consultationUnassigned, event) == ["office@neff.example visit_unassigned none"])
        let envelope = try Sample.envelope(.consultationUnassigned, event)
        #expect(try NoticePlanner().notices(of: envelope).isEmpty)
    }

    @Test func customerAndCrewAreToldOfEachChangeOfAJob() throws {
        let event = try Sample.jobEvent()
        #expect(
            try told(.jobScheduled, event) == [
                "ann@example.com job_scheduled request", "one@neff.example visit_assigned request",
            ])
        #expect(
            try told(.jobRescheduled, event) == [
                "ann@example.com job_moved request", "one@neff.example visit_moved request",
            ])
        #expect(
            try told(.jobCanceled, event) == [
                "ann@example.com job_canceled cancel", "one@neff.example visit_released cancel",
            ])
        let noCrew = try Sample.jobEvent { $0.crew = nil }
        #expect(try told(.jobScheduled, noCrew) == ["ann@example.com job_scheduled request"])
    }

    @Test func aChangeOfCrewIsToldToBothCrews() throws {
        let event = try Sample.jobEvent { $0.previousCrew = Sample.crewTwo }
        #expect(
            try told(.jobRescheduled, event) == [
                "ann@example.com job_moved request", "one@neff.example visit_assigned request",
                "two@neff.example visit_released cancel",
            ])
    }

    /// Two notices of one occasion to one address would contradict each other in one calendar.
    @Test func oneAddressForTwoPeopleGetsTheFirstNoticeOnly() throws {
        var other = Sample.crewTwo
        other.email = "One@Neff.example"
        let event = try Sample.jobEvent { $0.previousCrew = other }
        #expect(
            try told(.jobRescheduled, event) == [
                "ann@example.com job_moved request", "one@neff.example visit_assigned request",
            ])
    }

    @Test(arguments: [nil, "", " ", "\r\n"])
    func nobodyIsToldWithoutAnAddress(_ address: String?) throws {
        let consultation = try Sample.consultationEvent { $0.customer.email = address }
        for type in [MessageType.consultationBooked, .consultationRescheduled, .consultationCanceled] {
            #expect(try told(type, consultation).isEmpty)
        }
        let assignment = try Sample.assignment { $0.assignee?.email = address }
        for type in [MessageType.consultationAssigned, .consultationReleased] {
            #expect(try told(type, assignment).isEmpty)
        }
        let job = try Sample.jobEvent {
            $0.customer.email = address
            $0.crew?.email = address
            $0.previousCrew = Sample.crewTwo
            $0.previousCrew?.email = address
        }
        for type in [MessageType.jobScheduled, .jobRescheduled, .jobCanceled] {
            #expect(try told(type, job).isEmpty)
        }
        let envelope = try Sample.envelope(.consultationUnassigned, Sample.assignment())
        #expect(try NoticePlanner(officeEmail: address).notices(of: envelope).isEmpty)
    }

    @Test func anAddressIsUsedWithoutTheSpaceAroundIt() throws {
        let event = try Sample.consultationEvent { $0.customer.email = " ann@example.com\n" }
        #expect(try plan(.consultationBooked, event).map(\.recipient) == ["ann@example.com"])
    }

    @Test func theSameEventPlansTheSameNotices() throws {
        let event = try Sample.jobEvent { $0.previousCrew = Sample.crewTwo }
        let first = try planner.notices(of: Sample.envelope(.jobRescheduled, event, id: "a"))
        let second = try planner.notices(of: Sample.envelope(.jobRescheduled, event, id: "b"))
        #expect(first == second)
    }

    @Test func occasionsDifferByTypeSubjectAndSequence() throws {
        var occasions: Set<String> = []
        for sequence in 1...2 {
            let consultation = try Sample.consultationEvent(sequence: sequence)
            for type in [MessageType.consultationBooked, .consultationRescheduled, .consultationCanceled] {
                occasions.formUnion(try plan(type, consultation).map(\.occasion))
            }
            occasions.formUnion(try plan(.jobScheduled, Sample.jobEvent(sequence: sequence)).map(\.occasion))
        }
        #expect(occasions.count == 8)
    }

    @Test(arguments: [
        MessageType.consultationNoShowMarked, .consultationNoShowCleared, .createJob, .calendly("invitee.created"),
        MessageType(rawValue: "consultation.something_new"),
    ])
    func nobodyIsToldOfOtherMessages(_ type: MessageType) throws {
        #expect(try told(type, try Sample.consultationEvent()).isEmpty)
    }

    @Test func aBodyOfAnotherKindIsNotGuessedAt() throws {
        #expect(throws: DecodingError.self) { try plan(.jobScheduled, try Sample.consultationEvent()) }
    }
}
