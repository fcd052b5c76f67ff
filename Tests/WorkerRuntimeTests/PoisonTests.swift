import AMQP
import Foundation
import Messaging
import Postgres
import TestSupport
import Testing

/// One message that kills its process, among others that do not, with processes that really die.
@Suite(.timeLimit(.minutes(3))) struct PoisonTests {
    @Test(arguments: [0, 23, 49])
    func aKillerInAWindowOf50IsTheOnlyOneThatDies(position: Int) async throws {
        try await Rig.with { rig in
            try await rig.publish(
                (0..<50).map { number in
                    number == position ? Rig.message("killer", "kill") : Rig.message("m\(number)")
                })
            var deaths = 0
            var isOver = false
            while !isOver {
                let process = try start(rig)
                // Alive until the killer kills it; the process that lays it aside lives on.
                try await eventually {
                    let letters = try await rig.ready("work.dead")
                    let effects = try await rig.effects().count
                    isOver = letters > 0 && effects == 49
                    return isOver || !process.isRunning
                }
                if isOver {
                    process.signal(SIGTERM)
                    #expect(await process.waitForExit() == 0)
                } else {
                    #expect(await process.waitForExit() > 128)
                    deaths += 1
                    try #require(deaths < 10, "the killer kills for ever")
                }
            }
            #expect(try await rig.effects() == (0..<50).filter { $0 != position }.map { "m\($0)" }.sorted())
            #expect(try await rig.ready("work.dead") == 1)
            let letter = try await rig.receive("work.dead")
            #expect(letter.properties.messageID == "killer")
            #expect(letter.properties.headers["death-reason"] == "poison")
            #expect(try await rig.ready(Rig.queue) == 0)
            // Once with its batch, then alone until it was enough.
            #expect(deaths == 4)
        }
    }

    private func start(_ rig: Rig) throws -> RunningProcess {
        let here = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        let nowhere = URL(fileURLWithPath: "/dev/null")
        return try RunningProcess(
            executable: here.appending(path: "PoisonedWorker").path,
            arguments: [rig.broker.virtualHost, try #require(rig.pool.configuration.database)],
            // A trap would otherwise be followed by seconds of symbolication.
            environment: ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 },
            output: nowhere, errors: nowhere)
    }
}
