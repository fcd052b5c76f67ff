package import Foundation
import Postgres
import TestSupport

/// One run of one scenario: load, faults, rest, audit.
package struct Run: Sendable {
    package let scenario: Scenario
    package let seed: UInt64
    package let duration: Duration
    package let rate: Double
    package let servers: Servers
    package let executable: String
    /// Where logs and the record go.
    package let folder: URL
    /// Is told each line of the report.
    package let say: @Sendable (String) -> Void

    package init(
        scenario: Scenario, seed: UInt64, duration: Duration?, rate: Double?, servers: Servers, executable: String,
        folder: URL, say: @escaping @Sendable (String) -> Void
    ) {
        self.scenario = scenario
        self.seed = seed
        self.duration = duration ?? scenario.duration
        self.rate = rate ?? scenario.rate
        self.servers = servers
        self.executable = executable
        self.folder = folder
        self.say = say
    }

    /// Plays it and gives what the audit found.
    ///
    /// - Throws: if the run could not take place, which is no verdict on the program.
    package func play() async throws -> Audit.Report {
        if scenario.needsCluster, servers.nodes.count < 3 {
            throw Servers.ControlFailure(description: "\(scenario.name) needs three broker nodes")
        }
        let faults = scenario.faults(seed: seed, duration: duration)
        say("")
        say("== \(scenario.name): \(scenario.summary)")
        say(
            "   seed \(seed), \(duration) at \(rate) requests/s, \(servers.nodes.count) broker nodes, "
                + "\(Site.instances.values.reduce(0, +)) processes")
        say("schedule")
        for fault in faults { say("  \(Self.seconds(fault.at))  \(fault.text)") }

        try? FileManager.default.removeItem(at: folder)
        let site = try await Site(
            servers: servers, executable: executable, name: "\(scenario.name.filter(\.isLetter))\(seed)",
            folder: folder,
            stepsClocks: scenario.stepsClocks)
        let record = Record()
        let poison = Notes()
        do {
            let report = try await play(faults, Stage(site: site, record: record, poison: poison) { _ in })
            await site.end(keepsData: !report.isClean)
            return report
        } catch {
            await site.end(keepsData: true)
            throw error
        }
    }

    private func play(_ faults: [Fault], _ original: Stage) async throws -> Audit.Report {
        var stage = original
        let site = stage.site
        try await site.startEverything()
        try await requireMembers(site)
        let load = try await Load(
            site: site, record: stage.record, seed: seed,
            shape: Load.Shape(rate: rate, duration: duration, mailTrouble: scenario.mailTrouble))
        say("run")
        let start = ContinuousClock.now
        stage.say = { [say] text in say("  \(Self.seconds(ContinuousClock.now - start))  \(text)") }
        async let sent: Void = load.play()
        stage.endsAt = start + duration
        for (index, fault) in faults.enumerated() {
            try await Task.sleep(until: start + fault.at)
            // Some faults take long; what would meet no load any more is left out.
            guard ContinuousClock.now < stage.endsAt else {
                stage.say("the last \(faults.count - index) faults of the schedule are left out: the load is over")
                break
            }
            stage.say(fault.text)
            try await fault.perform(stage)
        }
        try await Task.sleep(until: start + duration)
        stage.say("no more faults: everything is started and whole again")
        for link in Link.allCases {
            link.proxy(site).behaviour = .pass
            link.proxy(site).accepts = true
        }
        await sent
        stage.say("every request was answered for good, or given up")
        let waiting = await site.settle(within: scenario.settling)
        stage.say(waiting.isEmpty ? "nothing moves any more" : "still waiting: \(waiting)")
        try stage.record.write(to: folder.appending(path: "record.jsonl"))
        return try await audit(stage, waiting)
    }

    /// A quorum queue with one member on three nodes would make every fault of a node a different test.
    private func requireMembers(_ site: Site) async throws {
        let host = site.virtualHost
        let queues = try await servers.withManagement { try await $0.queues(virtualHost: host) }
        for queue in queues where queue.members?.count != servers.nodes.count {
            throw Servers.ControlFailure(
                description:
                    "queue \(queue.name) has \(queue.members?.count ?? 0) members on \(servers.nodes.count) nodes")
        }
        say("   \(queues.count) queues, each with \(servers.nodes.count) member(s)")
    }

    private func audit(_ stage: Stage, _ waiting: [String: Int]) async throws -> Audit.Report {
        var allowance = Audit.Allowance()
        allowance.poison = stage.poison.all
        allowance.noRequestFails = scenario.noRequestFails
        var report = try await Audit.run(
            record: stage.record, pool: stage.site.pool, mails: stage.site.mails(), allowance: allowance)
        for (place, count) in waiting.sorted(by: { $0.key < $1.key }) {
            report.violations.append("stuck: \(count) in \(place)")
        }
        report.violations += stage.site.unexpectedEnds
        try await ledger(stage.site, &report)
        print(report)
        return report
    }

    /// The program's own account, if this build has one.
    private func ledger(_ site: Site, _ report: inout Audit.Report) async throws {
        // A build without it answers with the help of the whole program.
        guard try await site.execute(["ledger", "--help"]).output.contains("USAGE: neff ledger") else {
            report.notes.append("this build has no neff ledger: the conservation equation was not asked for")
            return
        }
        let (code, output) = try await site.execute(["ledger", "balance"])
        if code == 0 {
            report.notes.append("neff ledger balance: balanced")
        } else {
            report.violations.append("neff ledger balance ended with \(code): \(output.prefix(600))")
        }
    }

    private func print(_ report: Audit.Report) {
        say("audit")
        for (name, value) in report.counts {
            say("  \(String(repeating: " ", count: max(0, 7 - String(value).count)))\(value)  \(name)")
        }
        for note in report.notes { say("  note: \(note)") }
        for violation in report.violations.prefix(40) { say("  BROKEN: \(violation)") }
        if report.violations.count > 40 { say("  and \(report.violations.count - 40) more") }
        say(
            report.isClean
                ? "verdict: kept (\(scenario.name), seed \(seed))"
                : "verdict: BROKEN (\(scenario.name), seed \(seed)); logs and record in \(folder.path); again: "
                    + "scripts/chaos --scenario \(scenario.name) --seed \(seed) --seconds \(duration.components.seconds) "
                    + "--rate \(Int(rate))")
    }

    private static func seconds(_ duration: Duration) -> String {
        let tenths = duration / .milliseconds(100)
        let text = "\(Int(tenths) / 10).\(Int(tenths) % 10)s"
        return String(repeating: " ", count: max(0, 7 - text.count)) + text
    }
}
