import AMQP
import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing
import WorkerRuntime

@Suite(.timeLimit(.minutes(2))) struct ReplayTests {
    @Test func aReplayWorksOnceTheFaultIsMendedAndNeverDoublesAnEffect() async throws {
        try await Rig.with { rig in
            let isMended = Mutex(false)
            let seen = Record<Envelope>()
            let running = try await rig.start { envelope, context in
                seen.add(envelope)
                _ = try await insertEffect(envelope, context)
                return isMended.withLock { $0 } ? .done : .deadLetter(code: "fault", detail: "not mended")
            }
            try await DeadLetterTests.withJournal(rig) {
                var message = Rig.message("a", "{\"n\":1}")
                message.correlationID = "c"
                message.causationID = "p"
                try await rig.publish([message])
                try await eventually { try await rig.letters(.dead) == ["a"] }
                try await rig.withRunner {
                    // Not mended yet: it dies again, as another letter, and the first one is dealt with.
                    let first = try await rig.campaign()
                    var campaign = try await rig.settled(first)
                    #expect(campaign.phase == .done && campaign.progress.failed == 1)
                    let failed = try #require(try await ReplayCampaigns.letters(of: first, on: rig.pool).first)
                    let second = try #require(try await DeadLetterTests.letters(rig, status: .dead).first)
                    #expect(failed.successor == second.id && failed.detail == "fault" && second.replayCount == 1)
                    #expect(try await rig.letters(.replayed) == ["a"])
                    #expect(try await rig.effects() == [])

                    isMended.withLock { $0 = true }
                    let mended = try await rig.campaign()
                    campaign = try await rig.settled(mended)
                    #expect(campaign.progress.done == 1 && campaign.progress.total == 1)
                    #expect(try await rig.effects() == ["a"])
                    let last = try #require(seen.all.last)
                    #expect(last.replayCount == 2 && last.attemptCount == 0 && last.attempts.count == 2)
                    #expect(last.correlationID == "c" && last.causationID == "p")
                    #expect(last.replay == ReplayStamp(campaign: mended, epoch: 1))

                    // Years later, with everything about it forgotten but the receipt.
                    _ = try await rig.pool.query(
                        """
                        update dead_letters set status = 'dead', resolved_at = null, resolved_by = null,
                            resolution_reason = null, campaign_id = null where id = \(second.id.rawValue)
                        """)
                    let late = try await rig.settled(try await rig.campaign())
                    #expect(late.progress.applied == 1 && late.progress.sent == 0)
                    #expect(try await rig.effects() == ["a"] && seen.all.count == 3)
                }
            }
            try await running.stop()
        }
    }

    @Test func canaryAndRampGoOneAfterAnother() async throws {
        try await Rig.with { rig in
            try await rig.bury(Rig.ids(40))
            let gate = Mutex(0)
            let seen = Record<String>()
            // Lets as many through as it is told.
            let running = try await rig.start(Rig.configuration(concurrency: 40)) { envelope, context in
                let place = seen.add(envelope.id)
                while gate.withLock({ $0 }) < place, !Task.isCancelled {
                    try? await Task.sleep(for: .milliseconds(5))
                }
                return try await insertEffect(envelope, context)
            }
            try await rig.withRunner {
                let id = try await rig.campaign(
                    ReplayRules(canary: 2, ramp: [5], rate: nil, maxInFlight: 6, abortAbove: 0))
                for (released, out, phase) in [(0, 2, ReplayPhase.canary), (2, 7, .ramping), (7, 13, .running)] {
                    gate.withLock { $0 = released }
                    try await eventually { try await rig.find(id).progress.sent == out && seen.all.count == out }
                    // Some steps later it is the same: it waits for outcomes.
                    for _ in 0..<3 { try await Task.sleep(for: .milliseconds(30)) }
                    let campaign = try await rig.find(id)
                    #expect(campaign.phase == phase && campaign.progress.sent == out && seen.all.count == out)
                }
                gate.withLock { $0 = 40 }
                let campaign = try await rig.settled(id)
                #expect(campaign.phase == .done && campaign.progress.done == 40)
            }
            // The oldest went first; ids of letters are in the order of their death.
            let oldest = try await rig.pool.query("select message_id from dead_letters order by id limit 7")
                .map { try $0.decode("message_id", as: String.self) }
            #expect(Set(seen.all.prefix(7)) == Set(oldest))
            #expect(try await rig.effects() == Rig.ids(40))
            try await running.stop()
        }
    }

    @Test func aCampaignWhoseShareOfFailuresIsTooHighStopsItself() async throws {
        try await Rig.with { rig in
            try await rig.bury(Rig.ids(200))
            let running = try await rig.start { envelope, context in
                envelope.id.hasSuffix("9") && envelope.id > "m1000020"
                    ? .deadLetter(code: "fault", detail: "") : try await insertEffect(envelope, context)
            }
            try await DeadLetterTests.withJournal(rig) {
                try await rig.withRunner {
                    let id = try await rig.campaign(
                        ReplayRules(canary: 1, ramp: [5], rate: nil, maxInFlight: 10, abortAbove: 0.05))
                    let campaign = try await rig.settled(id)
                    let progress = campaign.progress
                    #expect(campaign.phase == .aborted && campaign.phaseReason?.contains("5.0 %") == true)
                    #expect(progress.failed >= 1 && progress.withdrawn > 0)
                    #expect(progress.done + progress.failed + progress.withdrawn == 200)
                    #expect(try await rig.messages(id, .done) == Set(try await rig.effects()))
                    // What never left and what died again are dead, and nothing else is.
                    let dead = try await rig.messages(id, .failed, .withdrawn)
                    #expect(try await rig.letters(.dead) == dead)
                    #expect(try await rig.letters(.replaying).isEmpty)
                    let log = try await OperatorLog.list(OperatorLog.Filter(subject: id.rawValue), on: rig.pool)
                    #expect(log.map(\.act.kind.rawValue) == ["replay_campaign.abort", "replay_campaign.create"])
                    #expect(log.map(\.act.actor) == ["neff", "ops"])
                }
            }
            try await running.stop()
        }
    }

    @Test func aPausedCampaignSendsNothingUntilItIsResumed() async throws {
        try await Rig.with { rig in
            try await rig.bury(Rig.ids(300))
            let running = try await rig.start(handle: insertEffect)
            try await rig.withRunner {
                let id = try await rig.campaign(
                    ReplayRules(canary: 1, ramp: [], rate: 200, maxInFlight: 20, abortAbove: 0))
                try await eventually { try await rig.find(id).progress.done >= 20 }
                #expect(try await rig.act(.pause, id).phase == .paused)
                try await eventually { try await rig.find(id).progress.inFlight == 0 }
                let paused = try await rig.find(id).progress
                for _ in 0..<5 { try await Task.sleep(for: .milliseconds(50)) }
                let still = try await rig.find(id)
                #expect(still.progress == paused && still.phase == .paused && paused.waiting > 0)
                try await rig.act(.resume, id)
                let campaign = try await rig.settled(id)
                #expect(campaign.phase == .done && campaign.progress.done == 300)
                #expect(try await rig.effects() == Rig.ids(300))
                let result = try await ReplayCampaigns.perform(
                    .pause, on: id, by: "ops", consumers: ["work"], pool: rig.pool)
                #expect(result == .impossible(campaign))
            }
            try await running.stop()
        }
    }

    @Test func twoRunnersAtOnceSendEachLetterOnce() async throws {
        try await Rig.with { rig in
            try await rig.bury(Rig.ids(400))
            let seen = Record<String>()
            let running = try await rig.start { envelope, context in
                seen.add(envelope.id)
                return try await insertEffect(envelope, context)
            }
            try await rig.withRunner("one") {
                try await rig.withRunner("two") {
                    let id = try await rig.campaign(
                        ReplayRules(canary: 2, ramp: [5, 20], rate: nil, maxInFlight: 40, abortAbove: 0))
                    #expect(try await rig.settled(id).progress.done == 400)
                }
            }
            #expect(seen.all.count == 400)
            #expect(try await rig.effects() == Rig.ids(400))
            try await running.stop()
        }
    }

    @Test func whatAKilledRunnerHadInHandIsNeitherLostNorDoubled() async throws {
        try await Rig.with { rig in
            try await rig.bury(Rig.ids(60))
            let id = try await rig.campaign()
            // As SIGKILL leaves it: letters are taken, some of them are with the broker, nothing was recorded, and the
            // lease is still held.
            _ = try await ReplayCampaigns.takeLeases(for: .seconds(1), holder: "killed", on: rig.pool)
            let work = try #require(
                try await ReplayCampaigns.step(
                    id, holder: "killed", limit: 30, consumers: ["work"], on: rig.pool))
            #expect(work.letters.count == 30)
            try await rig.withConnection { connection in
                for (letter, number) in work.letters.prefix(10) {
                    try await connection.publish(letter.replay(number: number, stamp: work.campaign.stamp))
                }
            }
            // Nobody else gets it while the lease lasts.
            #expect(
                try await ReplayCampaigns.step(
                    id, holder: "other", limit: 30, consumers: ["work"], on: rig.pool) == nil)
            let running = try await rig.start(handle: insertEffect)
            try await rig.withRunner {
                let campaign = try await rig.settled(id)
                #expect(campaign.phase == .done && campaign.progress.done == 60)
            }
            #expect(try await rig.effects() == Rig.ids(60))
            try await running.stop()
        }
    }

    @Test func aBrokerThatIsAwayInTheMiddleOnlyDelaysACampaign() async throws {
        try await Rig.with { rig in
            try await rig.bury(Rig.ids(300))
            let running = try await rig.start(handle: insertEffect)
            try await withBrokerProxy(to: rig.broker.port) { proxy in
                var broker = rig.broker
                broker.host = "127.0.0.1"
                broker.port = proxy.port
                try await rig.withRunner(broker: broker) {
                    let id = try await rig.campaign(
                        ReplayRules(canary: 1, ramp: [], rate: nil, maxInFlight: 30, abortAbove: 0))
                    try await eventually { try await rig.find(id).progress.done >= 30 }
                    // Answers are lost first, so that sent letters are without a confirm.
                    proxy.behaviour = .mute
                    try await eventually { try await rig.find(id).progress.publishing > 0 }
                    proxy.accepts = false
                    proxy.cut()
                    proxy.behaviour = .pass
                    for _ in 0..<5 { try await Task.sleep(for: .milliseconds(50)) }
                    #expect(try await rig.find(id).settledAt == nil)
                    proxy.accepts = true
                    let campaign = try await rig.settled(id)
                    #expect(campaign.phase == .done && campaign.progress.done == 300)
                }
            }
            #expect(try await rig.effects() == Rig.ids(300))
            try await running.stop()
        }
    }

    @Test func aPatchedLetterGoesOutWithItsPatch() async throws {
        try await Rig.with { rig in
            try await rig.bury(["a"])
            _ = try await rig.pool.query(
                """
                update dead_letters set patch = '[{"op":"replace","path":"/id","value":"mended"}]', patched_at = now(),
                    patched_by = 'ops'
                """)
            let seen = Record<Envelope>()
            let running = try await rig.start { envelope, context in
                seen.add(envelope)
                return try await insertEffect(envelope, context)
            }
            #expect(try await ReplayCampaigns.plan(.ids([.make()]), Rig.atOnce, on: rig.pool).notDead == 1)
            let plan = try await ReplayCampaigns.plan(.matching(DeadLetters.Filter()), Rig.atOnce, on: rig.pool)
            #expect(plan.letters == 1 && plan.patched == 1 && plan.bytes == 10 && plan.queues == ["work": 1])
            try await rig.withRunner { _ = try await rig.settled(try await rig.campaign()) }
            #expect(String(decoding: seen.all.first?.body ?? [], as: UTF8.self) == #"{"id":"mended"}"#)
            try await running.stop()
        }
    }

    @Test func aLetterThatNoQueueTakesFailsAndIsDeadAgain() async throws {
        try await Rig.with { rig in
            try await rig.bury(["lost"], queue: "no-such-queue")
            try await rig.bury(["sent"])
            let running = try await rig.start(handle: insertEffect)
            try await rig.withRunner {
                let id = try await rig.campaign()
                let campaign = try await rig.settled(id)
                #expect(campaign.progress.failed == 1 && campaign.progress.done == 1)
                let letters = try await ReplayCampaigns.letters(of: id, states: [.failed], on: rig.pool)
                #expect(letters.map(\.detail) == ["unroutable"])
                #expect(try await rig.letters(.dead) == ["lost"])
                // Another queue takes it.
                var rules = Rig.atOnce
                rules.targetQueue = Rig.queue
                let other = try await rig.settled(try await rig.campaign(rules))
                #expect(other.progress.done == 1)
            }
            #expect(try await rig.effects() == ["lost", "sent"])
            try await running.stop()
        }
    }

    @Test func anUnroutedLetterIsReplayedToWhereItWasSent() async throws {
        try await Rig.with { rig in
            try await rig.withConnection { connection in
                try await connection.publish(
                    OutgoingMessage(exchange: .events, routingKey: "job.scheduled", envelope: Rig.message("u"))
                        .publication)
            }
            try await DeadLetterTests.withJournal(rig) {
                try await eventually { try await rig.letters(.dead) == ["u"] }
                try await rig.withRunner {
                    // Nothing is bound yet: it is unrouted again.
                    let first = try await rig.settled(try await rig.campaign())
                    #expect(first.progress.failed == 1)
                    try await rig.withConnection { connection in
                        try await connection.bind(queue: Rig.queue, to: "events", routingKey: "job.#")
                    }
                    let running = try await rig.start(handle: insertEffect)
                    #expect(try await rig.settled(try await rig.campaign()).progress.done == 1)
                    #expect(try await rig.effects() == ["u"])
                    try await running.stop()
                }
            }
        }
    }

    /// RabbitMQ up to 3.13 believes an `x-death` that comes with a message, and destroys it as a cycle at its next expiry.
    @Test func aLetterThatTheBrokerGaveUpSurvivesItsReplaysRetry() async throws {
        try await Rig.with { rig in
            try await rig.publish("crasher")
            try await rig.crashWithEverything(times: 6)
            try await DeadLetterTests.withJournal(rig) {
                try await eventually { try await rig.letters(.dead) == ["crasher"] }
                let running = try await rig.start { envelope, context in
                    envelope.attemptCount < 2
                        ? .retry(code: "later", detail: "") : try await insertEffect(envelope, context)
                }
                try await rig.withRunner {
                    let campaign = try await rig.settled(try await rig.campaign())
                    #expect(campaign.progress.done == 1)
                }
                #expect(try await rig.effects() == ["crasher"])
                try await running.stop()
            }
        }
    }

    @Test func aSelectionIsFrozenAndALetterIsInOneCampaignOnly() async throws {
        try await Rig.with { rig in
            try await rig.bury(["a", "b"])
            let first = try await rig.campaign()
            try await rig.bury(["c"])
            let second = try await rig.campaign()
            #expect(try await rig.find(first).progress.waiting == 2)
            #expect(try await rig.messages(second, .waiting) == ["c"])
            let order = ReplayCampaigns.Order(
                id: first, selection: .matching(DeadLetters.Filter()), selectionJSON: "{}", rules: Rig.atOnce,
                actor: "ops")
            #expect(try await ReplayCampaigns.create(order, on: rig.pool) == .existing(try await rig.find(first)))
            var none = order
            none.id = .make()
            #expect(try await ReplayCampaigns.create(none, on: rig.pool) == .nothingSelected)
            #expect(try await ReplayCampaigns.list(on: rig.pool).map(\.id) == [second, first])
            #expect(try await ReplayCampaigns.list(before: second, on: rig.pool).map(\.id) == [first])
            // Nobody else deals with a letter that a campaign has.
            let letters = try await DeadLetterTests.letters(rig, status: .replaying).map(\.id)
            #expect(try await rig.letters(.dead).isEmpty && letters.count == 3)
            try await rig.act(.abort, first)
            #expect(try await rig.letters(.dead) == ["a", "b"])
            guard case .intact(entries: 3, head: _) = try await OperatorLog.verify(on: rig.pool) else {
                Issue.record("the operator log is broken")
                return
            }
        }
    }
}

@Suite struct ReplayRateTests {
    @Test func aRateIsKeptOverTimeAndNeverSavesUpMuch() {
        let start = ContinuousClock.now
        var rate = ReplayRate(now: start)
        #expect(rate.allowance(10, now: start) == 1)
        rate.spend(1)
        #expect(rate.allowance(10, now: start + .milliseconds(90)) == 0)
        #expect(rate.allowance(10, now: start + .milliseconds(210)) == 2)
        // An hour of nothing to send is no reason for a burst.
        #expect(rate.allowance(10, now: start + .seconds(3_600)) == 5)
        #expect(rate.allowance(nil, now: start) == .max)
        var slow = ReplayRate(now: start)
        slow.spend(1)
        #expect(slow.allowance(0.5, now: start + .seconds(1)) == 0)
        #expect(slow.allowance(0.5, now: start + .seconds(2)) == 1)
    }
}
