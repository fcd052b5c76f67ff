import Calendly
import Foundation
import TestSupport
import Testing

@Suite struct InviteeRecordTests {
    private static func observe(_ body: [UInt8], isHint: Bool = false) throws -> InviteeObservation {
        let envelope = try WebhookEnvelope.decode(body)
        guard case .invitee(let change, let payload) = envelope.payload else { throw CocoaError(.coderInvalidValue) }
        return InviteeObservation(
            change: change, webhookCreatedAt: envelope.createdAt, payload: payload, isHint: isHint)
    }

    private static func record(_ observations: [InviteeObservation]) -> InviteeRecord {
        var record = InviteeRecord(uri: InviteeWebhook.uri("A"))
        for observation in observations { record.apply(observation) }
        return record
    }

    private static func noShow(_ name: String?, at: Int, removed: Bool = false, sentAt: Int? = nil) -> [UInt8] {
        var webhook = InviteeWebhook("A")
        webhook.noShow = name.map { ($0, at) }
        webhook.sentAt = sentAt ?? at
        return webhook.body(removed ? "invitee_no_show.deleted" : "invitee_no_show.created")
    }

    // MARK: - The join

    @Test func orderAndNumberOfDeliveriesDoNotMatter() throws {
        var changed = InviteeWebhook("A")
        changed.updatedAt = 5
        changed.name = "Pat Renamed"
        var sameTime = changed
        sameTime.name = "Pat Other"
        let pool: [InviteeObservation] = [
            try Self.observe(InviteeWebhook.created("A")),
            try Self.observe(InviteeWebhook.canceled("A", new: "B", at: 60)),
            try Self.observe(InviteeWebhook.canceled("A", at: 30), isHint: true),
            try Self.observe(changed.body("invitee.created")),
            try Self.observe(changed.body("invitee.created"), isHint: true),
            try Self.observe(sameTime.body("invitee.created")),
            try Self.observe(Self.noShow("N1", at: 40)),
            try Self.observe(Self.noShow("N2", at: 50)),
            try Self.observe(Self.noShow("N1", at: 40, removed: true)),
            try Self.observe(Self.noShow(nil, at: 0, removed: true, sentAt: 45)),
        ]
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<3000 {
            let chosen = pool.filter { _ in Bool.random(using: &generator) }
            guard !chosen.isEmpty else { continue }
            let reference = Self.record(chosen)
            let repeated = (chosen + chosen + chosen.filter { _ in Bool.random(using: &generator) }).shuffled()
            #expect(Self.record(repeated) == reference)
        }
    }

    @Test func theNewestSnapshotCountsByMicroseconds() throws {
        let body = String(decoding: InviteeWebhook.created("A"), as: UTF8.self)
        func version(_ fraction: String, _ name: String) throws -> InviteeObservation {
            try Self.observe(
                Array(
                    body.replacing(
                        "\"updated_at\":\"2027-03-01T12:00:00.000000Z\"",
                        with: "\"updated_at\":\"2027-03-03T12:00:00.\(fraction)Z\""
                    )
                    .replacing("Pat Example", with: name).utf8))
        }
        let older = try version("131976", "Old")
        let newer = try version("131977", "New")
        #expect(newer.snapshotAt.microseconds - older.snapshotAt.microseconds == 1)
        #expect(Self.record([older, newer]).snapshot?.payload.name == "New")
        #expect(Self.record([newer, older]).snapshot?.payload.name == "New")
    }

    // MARK: - Cancellation is final

    @Test func aLateBookingFillsInDetailsWithoutRevivingIt() throws {
        let canceled = try Self.observe(InviteeWebhook.canceled("A"))
        var late = InviteeWebhook("A")
        late.updatedAt = 600
        late.name = "Pat Later"
        let record = Self.record([canceled, try Self.observe(late.body("invitee.created"))])
        #expect(record.isCanceled)
        #expect(record.snapshot?.payload.name == "Pat Later")
    }

    // MARK: - Hints

    @Test func aHintCountsOnlyIfNothingNewerIsKnown() throws {
        let booked = try Self.observe(InviteeWebhook.created("A", at: 50))
        let staleOlder = try Self.observe(InviteeWebhook.canceled("A", at: 40), isHint: true)
        let staleNewer = try Self.observe(InviteeWebhook.canceled("A", at: 60), isHint: true)
        for order in [[booked, staleOlder], [staleOlder, booked]] {
            #expect(!Self.record(order).isCanceled)
            #expect(!Self.record(order).isHint)
        }
        for order in [[booked, staleNewer], [staleNewer, booked]] {
            #expect(Self.record(order).isCanceled)
            #expect(Self.record(order).isHint)
        }
        #expect(Self.record([staleOlder]).isCanceled)
    }

    @Test func aValidDeliveryReplacesTheHintOfTheSameFact() throws {
        let body = InviteeWebhook.canceled("A", at: 60)
        let hint = try Self.observe(body, isHint: true)
        let fact = try Self.observe(body)
        for order in [[hint, fact], [fact, hint]] {
            let record = Self.record(order)
            #expect(record.isCanceledForCertain)
            #expect(!record.isHint)
        }
    }

    // MARK: - No-shows

    @Test func marksAndRemovalsAreOrderedByTheirOwnTimes() throws {
        let first = try Self.observe(Self.noShow("N1", at: 40))
        let removal = try Self.observe(Self.noShow("N1", at: 40, removed: true, sentAt: 45))
        let second = try Self.observe(Self.noShow("N2", at: 41))
        #expect(Self.record([first]).isNoShow)
        for order in [[first, removal], [removal, first]] { #expect(!Self.record(order).isNoShow) }
        // The second mark is newer than the one that was removed, although the removal was sent after it.
        for order in [first, removal, second].permutations { #expect(Self.record(order).isNoShow) }
    }

    @Test func aRemovalThatNamesNoMarkCountsByItsOwnTime() throws {
        let mark = try Self.observe(Self.noShow("N1", at: 40))
        let removal = try Self.observe(Self.noShow(nil, at: 0, removed: true, sentAt: 45))
        let again = try Self.observe(Self.noShow("N2", at: 50))
        for order in [mark, removal].permutations { #expect(!Self.record(order).isNoShow) }
        for order in [mark, removal, again].permutations { #expect(Self.record(order).isNoShow) }
    }

    @Test func aMarkWithoutContentCountsByTheWebhooksTime() throws {
        var webhook = InviteeWebhook("A")
        webhook.sentAt = 40
        #expect(Self.record([try Self.observe(webhook.body("invitee_no_show.created"))]).isNoShow)
    }

    @Test func aMarkDoesNotChangeTheSnapshot() throws {
        let booked = try Self.observe(InviteeWebhook.created("A"))
        let marked = try Self.observe(Self.noShow("N1", at: 40))
        #expect(Self.record([booked, marked]).snapshot == Self.record([booked]).snapshot)
    }
}
