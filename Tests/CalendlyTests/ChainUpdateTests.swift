import Calendly
import Domain
import Foundation
import TestSupport
import Testing

@Suite struct ChainUpdateTests {
    private static func ledger(_ bodies: [[UInt8]]) throws -> MemoryLedger {
        var ledger = MemoryLedger()
        for body in bodies { try ledger.deliver(body) }
        return ledger
    }

    private static let bookedA = InviteeWebhook.created("A", startsAt: 0, at: 0)
    private static let movedA = InviteeWebhook.canceled("A", new: "B", startsAt: 0, at: 60)
    private static let createdB = InviteeWebhook.created("B", old: "A", startsAt: 500, at: 60)

    // MARK: - Reschedules

    @Test func aRescheduleIsOneMessage() throws {
        for pair in [[Self.movedA, Self.createdB], [Self.createdB, Self.movedA]] {
            let ledger = try Self.ledger([Self.bookedA] + pair)
            #expect(ledger.story == [.booked, .rescheduled])
            let event = try #require(ledger.told.last?.event)
            #expect(event.sequence == 2)
            #expect(event.visit.startsAt == InviteeWebhook.instant(10_500))
            #expect(event.previousVisit?.startsAt == InviteeWebhook.instant(10_000))
            #expect(ledger.standing.count == 1)
        }
    }

    @Test func theOldHalfAloneTellsNobodyAnything() throws {
        let ledger = try Self.ledger([Self.bookedA, Self.movedA, Self.movedA])
        #expect(ledger.story == [.booked])
        #expect(ledger.standing.map(\.projection.state) == [.rescheduling])
        #expect(ledger.waits == 1)
    }

    @Test func theNewHalfAloneIsABooking() throws {
        let ledger = try Self.ledger([Self.createdB])
        #expect(ledger.story == [.booked])
        #expect(ledger.standing.map(\.projection.state) == [.booked])
        #expect(ledger.invitees[InviteeWebhook.uri("A")]?.isPlaceholder == true)
    }

    @Test func everyOrderAndRepetitionOfARescheduleEndsTheSame() throws {
        let deliveries = [Self.bookedA, Self.movedA, Self.createdB]
        let reference = try Self.ledger(deliveries).outcome
        for order in (deliveries + deliveries).permutations {
            let ledger = try Self.ledger(order)
            #expect(ledger.outcome == reference)
            #expect(ledger.story == [.booked] || ledger.story == [.booked, .rescheduled])
            let last = try #require(ledger.told.last)
            #expect(last.event.visit.startsAt == InviteeWebhook.instant(10_500))
            #expect(last.event.sequence == ledger.story.count)
            #expect(ledger.standing.count == 1 && ledger.consultations.count == 1)
        }
    }

    @Test func aRescheduleAfterACancellationByTheHostBooksAnew() throws {
        // "Ask to reschedule" looks like a cancellation until the invitee picks a new time.
        let ledger = try Self.ledger([
            Self.bookedA, InviteeWebhook.canceled("A", at: 60),
            InviteeWebhook.created("B", old: "A", startsAt: 500, at: 90),
        ])
        #expect(ledger.story == [.booked, .canceled, .booked])
        #expect(ledger.told.map(\.event.sequence) == [1, 2, 3])
        #expect(ledger.standing.count == 1)
    }

    @Test func aMoveNobodyHeardOfIsPartOfTheCancellation() throws {
        let ledger = try Self.ledger([
            Self.bookedA, InviteeWebhook.canceled("B", old: "A", startsAt: 500, at: 90), Self.createdB, Self.movedA,
        ])
        #expect(ledger.story == [.booked, .canceled])
        #expect(ledger.told.last?.event.previousVisit?.startsAt == InviteeWebhook.instant(10_000))
    }

    // MARK: - Cancellations

    @Test func aLateBookingCannotReviveACancellation() throws {
        let canceled = InviteeWebhook.canceled("A")
        let ledger = try Self.ledger([canceled, Self.bookedA, Self.bookedA, canceled])
        #expect(ledger.story == [.canceled])
        #expect(ledger.standing.map(\.projection.state) == [.canceled])
    }

    @Test func aNewBookingOfTheSamePersonIsAnotherConsultation() throws {
        let ledger = try Self.ledger([
            Self.bookedA, InviteeWebhook.canceled("A"), InviteeWebhook.created("Z", startsAt: 900, at: 200),
        ])
        #expect(ledger.story == [.booked, .canceled, .booked])
        #expect(Set(ledger.told.map(\.event.consultation)).count == 2)
    }

    @Test func oneInviteeOfAGroupCancelsForThemselves() throws {
        func member(_ invitee: String, canceled: Bool = false) -> [UInt8] {
            var webhook = InviteeWebhook(invitee)
            webhook.event = "GROUP"
            webhook.isCanceled = canceled
            webhook.updatedAt = canceled ? 60 : 0
            return webhook.body(canceled ? "invitee.canceled" : "invitee.created")
        }
        let ledger = try Self.ledger([member("A"), member("B"), member("A", canceled: true)])
        #expect(ledger.story == [.booked, .booked, .canceled])
        #expect(Set(ledger.standing.map(\.projection.state)) == [.booked, .canceled])
        // The same event at Calendly: one visit for whoever goes.
        let events = ledger.told.compactMap(\.event.calendarEvent)
        #expect(events.map(\.uri) == Array(repeating: "https://api.calendly.com/scheduled_events/GROUP", count: 3))
        #expect(events.map(\.asOf) == [0, 0, 60].map(InviteeWebhook.instant))
    }

    // MARK: - No-shows

    @Test func aNoShowIsMarkedAndCleared() throws {
        func noShow(_ event: String, at: Int) -> [UInt8] {
            var webhook = InviteeWebhook("A")
            webhook.noShow = ("N", 100)
            webhook.sentAt = at
            return webhook.body(event)
        }
        let marked = noShow("invitee_no_show.created", at: 100)
        let cleared = noShow("invitee_no_show.deleted", at: 110)
        #expect(try Self.ledger([Self.bookedA, marked, cleared]).story == [.booked, .noShowMarked, .noShowCleared])
        #expect(try Self.ledger([Self.bookedA, cleared, marked]).story == [.booked])
        // A mark that overtakes its booking does not swallow it.
        #expect(try Self.ledger([marked, Self.bookedA]).story == [.booked, .noShowMarked])
        #expect(try Self.ledger([marked, cleared, Self.bookedA]).story == [.booked, .noShowMarked, .noShowCleared])
    }

    @Test func everyOrderOfABookingAndItsMarksEndsTheSameAndIsAnnouncedAsABooking() throws {
        func noShow(_ event: String, _ mark: (String, Int), sentAt: Int) -> [UInt8] {
            var webhook = InviteeWebhook("A")
            webhook.noShow = mark
            webhook.sentAt = sentAt
            return webhook.body(event)
        }
        let first = noShow("invitee_no_show.created", ("N", 100), sentAt: 100)
        let cleared = noShow("invitee_no_show.deleted", ("N", 100), sentAt: 110)
        let second = noShow("invitee_no_show.created", ("M", 120), sentAt: 120)
        for endsMarked in [true, false] {
            let deliveries = [Self.bookedA, Self.bookedA, first, cleared] + (endsMarked ? [second] : [])
            let reference = try Self.ledger(deliveries).outcome
            for order in deliveries.permutations {
                let ledger = try Self.ledger(order)
                #expect(ledger.outcome == reference)
                #expect(ledger.standing.map(\.projection.state) == [endsMarked ? .noShow : .booked])
                try Self.checkStory(of: ledger)
                #expect(ledger.story.first == .booked && ledger.story.count { $0 == .booked } == 1)
                let marks = Array(ledger.story.dropFirst())
                #expect(marks.last == (endsMarked ? .noShowMarked : marks.isEmpty ? nil : .noShowCleared))
            }
        }
    }

    @Test func aMarkOnAMoveThatNobodyHeardOfTellsTheMoveFirst() throws {
        var webhook = InviteeWebhook("B")
        webhook.old = "A"
        webhook.startsAt = 500
        webhook.noShow = ("N", 700)
        webhook.updatedAt = 60
        webhook.sentAt = 700
        let marked = webhook.body("invitee_no_show.created")
        let deliveries = [Self.bookedA, Self.movedA, Self.createdB, marked]
        let reference = try Self.ledger(deliveries).outcome
        for order in deliveries.permutations {
            let ledger = try Self.ledger(order)
            #expect(ledger.outcome == reference)
            try Self.checkStory(of: ledger)
            let visit = try #require(ledger.told.last { [.booked, .rescheduled].contains($0.announcement) })
            #expect(visit.event.visit.startsAt == InviteeWebhook.instant(10_500))
            #expect(ledger.story.last == .noShowMarked)
        }
        let ledger = try Self.ledger([Self.bookedA, marked])
        #expect(ledger.story == [.booked, .rescheduled, .noShowMarked])
        #expect(ledger.told[1].event.previousVisit?.startsAt == InviteeWebhook.instant(10_000))
        #expect(ledger.told.map(\.event.sequence) == [1, 2, 3])
    }

    @Test func aMarkOnACanceledBookingTellsNobodyOfAVisit() throws {
        var webhook = InviteeWebhook("A")
        webhook.noShow = ("N", 100)
        webhook.sentAt = 100
        let marked = webhook.body("invitee_no_show.created")
        #expect(try Self.ledger([InviteeWebhook.canceled("A"), marked, Self.bookedA]).story == [.canceled])
    }

    // MARK: - Two consultations that are one

    @Test func aMissingLinkMergesTwoConsultations() throws {
        let createdC = InviteeWebhook.created("C", old: "B", startsAt: 900, at: 120)
        let ledger = try Self.ledger([Self.bookedA, createdC, Self.createdB])
        #expect(ledger.consultations.count == 2)
        #expect(ledger.standing.count == 1)
        let survivor = try #require(ledger.standing.first)
        #expect(survivor.projection.currentInvitee == InviteeWebhook.uri("C"))
        // People knew of C already, so only A has to be taken back.
        #expect(ledger.story == [.booked, .booked, .canceled])
        let withdrawal = try #require(ledger.told.last?.event)
        #expect(withdrawal.mergedInto == survivor.id)
        #expect(withdrawal.consultation != survivor.id)
        #expect(withdrawal.visit.startsAt == InviteeWebhook.instant(10_000))
        #expect(Set(ledger.owners.values) == [survivor.id])
    }

    // MARK: - Properties

    /// A, B and C, each replacing the one before, and C canceled in some runs; any deliveries missing, repeated, shuffled.
    @Test(arguments: [false, true]) func anyOrderOfAnySubsetOfThreeRescheduledEndsTheSame(endsCanceled: Bool) throws {
        let canceledB = InviteeWebhook.canceled("B", old: "A", new: "C", startsAt: 500, at: 120)
        let createdC = InviteeWebhook.created("C", old: "B", startsAt: 900, at: 120)
        let canceledC = InviteeWebhook.canceled("C", old: "B", startsAt: 900, at: 180)
        let all = [Self.bookedA, Self.movedA, Self.createdB, canceledB, createdC] + (endsCanceled ? [canceledC] : [])
        var generator = SystemRandomNumberGenerator()
        for run in 0..<1500 {
            let chosen = run % 3 == 0 ? all : all.filter { _ in Int.random(in: 0..<4, using: &generator) > 0 }
            guard !chosen.isEmpty else { continue }
            let reference = try Self.ledger(chosen).outcome
            let repeats = chosen.filter { _ in Bool.random(using: &generator) }
            let ledger = try Self.ledger((chosen + repeats).shuffled(using: &generator))
            #expect(ledger.outcome == reference)
            try Self.checkStory(of: ledger)
            if chosen.count == all.count {
                let state = try #require(ledger.standing.first).projection.state
                #expect(ledger.standing.count == 1)
                #expect(state == (endsCanceled ? .canceled : .booked))
            }
        }
    }

    @Test func everyOrderOfAChainOfThreeEndsTheSame() throws {
        let deliveries = [
            Self.bookedA, Self.movedA, Self.createdB,
            InviteeWebhook.canceled("B", old: "A", new: "C", startsAt: 500, at: 120),
            InviteeWebhook.created("C", old: "B", startsAt: 900, at: 120),
            InviteeWebhook.canceled("C", old: "B", startsAt: 900, at: 180),
        ]
        let reference = try Self.ledger(deliveries).outcome
        for order in deliveries.permutations {
            let ledger = try Self.ledger(order)
            #expect(ledger.outcome == reference)
            try Self.checkStory(of: ledger)
        }
    }

    @Test func hintsAndFactsMixedInAnyOrderEndTheSame() throws {
        let deliveries: [([UInt8], Bool)] = [
            (Self.bookedA, false), (Self.bookedA, true), (Self.movedA, true), (Self.movedA, false),
            (Self.createdB, true),
        ]
        func ledger(_ order: [([UInt8], Bool)]) throws -> MemoryLedger {
            var ledger = MemoryLedger()
            for (body, isHint) in order { try ledger.deliver(body, isHint: isHint) }
            return ledger
        }
        let reference = try ledger(deliveries).outcome
        for order in deliveries.permutations { #expect(try ledger(order).outcome == reference) }
    }

    /// What holds of everything that people were told, whatever the order of deliveries.
    private static func checkStory(of ledger: MemoryLedger) throws {
        for record in ledger.consultations.values {
            let story = ledger.told.filter { $0.event.consultation == record.id }
            // Sequences count up from one, without gaps.
            #expect(story.map(\.event.sequence) == Array(1..<(story.count + 1)))
            #expect(record.sequence == story.count)
            // A visit is told before anything is told about it.
            #expect(story.first.map { [.booked, .canceled].contains($0.announcement) } ?? true)
            // Nobody is told twice that the same thing is off, and a reschedule is never a cancellation and a booking.
            #expect(story.count { $0.announcement == .canceled } <= 1)
            for (one, next) in zip(story, story.dropFirst()) {
                #expect(!(one.announcement == .canceled && next.announcement == .booked))
            }
            // Only what is off, or stands under another id, was ever told as canceled.
            if story.contains(where: { $0.announcement == .canceled }) {
                #expect(record.projection.state == .canceled)
            }
            // In the end people know how things stand, unless the rest of a reschedule is still to come.
            if record.mergedInto == nil, record.projection.state != .rescheduling {
                #expect(record.told == Told(record.projection) || record.told?.state == .canceled)
            }
            // Something that stands was told by exactly one consultation that is not withdrawn.
            if let target = record.mergedInto {
                #expect(ledger.consultations[target] != nil)
                #expect(record.told == nil || record.told?.state == .canceled)
            }
        }
    }

    // MARK: - Odd links

    @Test func linksThatRunInACircleOrBranchHaveAFixedOrder() throws {
        let circle = [
            InviteeWebhook.created("A", old: "C", at: 1), InviteeWebhook.created("B", old: "A", at: 2),
            InviteeWebhook.created("C", old: "B", at: 3),
        ]
        let reference = try Self.ledger(circle).outcome
        for order in circle.permutations { #expect(try Self.ledger(order).outcome == reference) }
        let branch = [
            Self.bookedA, InviteeWebhook.created("B", old: "A", at: 2), InviteeWebhook.created("C", old: "A", at: 3),
        ]
        let branched = try Self.ledger(branch).outcome
        for order in branch.permutations { #expect(try Self.ledger(order).outcome == branched) }
    }

    @Test func anInviteeThatLinksToItselfDoesNoHarm() throws {
        let ledger = try Self.ledger([InviteeWebhook.created("A", old: "A")])
        #expect(ledger.story == [.booked])
    }
}
