import Calendly
import Domain
import Foundation
import Messaging
import Postgres
import SyncWorker
import TestSupport
import Testing

/// Several workers at once, on chains whose deliveries cross.
@Suite(.timeLimit(.minutes(5))) struct SyncConcurrencyTests {
    /// Every order arises here by itself; what comes out must not tell which.
    ///
    /// Chains of four, because only then can one delivery merge two consultations while another fills in an invitee of one
    /// of them that the first does not mention.
    @Test func crossedDeliveriesNeitherDeadlockNorDiffer() async throws {
        func chain(_ name: String) -> [[UInt8]] {
            let (a, b, c, d) = (name + "1", name + "2", name + "3", name + "4")
            return [
                InviteeWebhook.created(a, startsAt: 0, at: 0),
                InviteeWebhook.canceled(a, new: b, startsAt: 0, at: 60),
                InviteeWebhook.created(b, old: a, startsAt: 500, at: 60),
                InviteeWebhook.canceled(b, old: a, new: c, startsAt: 500, at: 120),
                InviteeWebhook.created(c, old: b, startsAt: 800, at: 120),
                InviteeWebhook.canceled(c, old: b, new: d, startsAt: 800, at: 180),
                InviteeWebhook.created(d, old: c, startsAt: 900, at: 180),
            ]
        }
        let names = (0..<12).map { "chain\($0)-" }
        var reference: [String] = []
        try await SyncBench.run { bench in
            for body in names.flatMap(chain) { try await bench.deliver(body) }
            reference = try await bench.outcome()
        }
        for _ in 0..<3 {
            try await SyncBench.run(poolSize: 8) { bench in
                var work = names.flatMap(chain)
                work += work
                let lanes = 8
                let shuffled = Array(work.enumerated()).shuffled()
                try await withThrowingTaskGroup { group in
                    for lane in 0..<lanes {
                        group.addTask {
                            for position in stride(from: lane, to: shuffled.count, by: lanes) {
                                // Messages of their own, so that nothing but the chain's locks keeps them apart. A
                                // deadlock or any other failure is thrown and fails the test: nothing is retried here.
                                let (number, body) = shuffled[position]
                                try await bench.deliver(body, suffix: "\(number)")
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(try await bench.outcome() == reference)
                let standing = try await bench.column(
                    "select count(*)::text from consultations where merged_into is null")
                #expect(standing == ["\(names.count)"])
                try await Self.checkStories(bench)
            }
        }
    }

    /// The first delivery merges the consultation of another invitee away while a second one, about that invitee alone, waits.
    @Test func aDeliveryFindsItsConsultationAfterAMergerItWaitedFor() async throws {
        try await SyncBench.run { bench in
            try await bench.deliver(InviteeWebhook.created("B", old: "A", startsAt: 500, at: 60))
            try await bench.deliver(InviteeWebhook.created("D", old: "C", startsAt: 900, at: 180))
            let standing = try #require(try await bench.announcements().last).event.consultation
            let first = try bench.envelope(InviteeWebhook.created("C", old: "B", startsAt: 800, at: 120))
            let second = try bench.envelope(InviteeWebhook.created("A", startsAt: 0, at: 0))
            let merged = AsyncStream<Void>.makeStream()
            try await withThrowingTaskGroup { group in
                group.addTask {
                    _ = try await bench.handle(first) {
                        merged.continuation.finish()
                        try await bench.untilSomebodyWaits()
                    }
                }
                for await _ in merged.stream {}
                group.addTask { _ = try await bench.handle(second) }
                try await group.waitForAll()
            }
            let invitees = try await bench.column(
                "select distinct consultation_id || ' ' || is_placeholder::text from calendly_invitees")
            #expect(invitees == ["\(standing) false"])
        }
    }

    /// As many copies of one delivery at once as there are lanes: one effect.
    @Test func theSameDeliveryManyTimesAtOnceHasOneEffect() async throws {
        try await SyncBench.run(poolSize: 8) { bench in
            let body = InviteeWebhook.created("A")
            try await withThrowingTaskGroup { group in
                for copy in 0..<24 {
                    group.addTask { _ = try await bench.deliver(body, suffix: copy % 2 == 0 ? "" : "\(copy)") }
                }
                try await group.waitForAll()
            }
            #expect(try await bench.announcements().map(\.type) == [.consultationBooked])
            #expect(try await bench.count("consultations") == 1)
            #expect(try await bench.count("change_log") == 1)
        }
    }

    /// Sequences have no gaps, and no consultation that stands was ever told as canceled.
    private static func checkStories(_ bench: SyncBench) async throws {
        let standing = Set(try await bench.column("select id from consultations where merged_into is null"))
        let stories = Dictionary(grouping: try await bench.announcements(), by: \.event.consultation)
        for (consultation, story) in stories {
            #expect(story.map(\.event.sequence).sorted() == Array(1..<(story.count + 1)))
            if standing.contains(consultation.rawValue) {
                #expect(!story.contains { $0.type == .consultationCanceled })
                let last = try #require(story.max { $0.event.sequence < $1.event.sequence })
                #expect(last.event.visit.startsAt == InviteeWebhook.instant(10_900))
            }
        }
    }
}
