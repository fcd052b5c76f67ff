import Foundation
import Synchronization
import Testing

@testable import Ingress

@Suite(.timeLimit(.minutes(1))) struct PasswordWorkersTests {
    @Test func moreThanMayRunAndWaitAreRefusedAtOnce() async throws {
        let workers = PasswordWorkers(atOnce: 1, maxWaiting: 1)
        let begun = AsyncStream.makeStream(of: Void.self)
        let gate = DispatchSemaphore(value: 0)
        async let first: Int = workers.run {
            begun.continuation.finish()
            gate.wait()
            return 1
        }
        for await _ in begun.stream {}
        // One of the two waits, whichever came first; the other is refused while the gate is closed.
        let outcomes = await withTaskGroup(of: Int?.self) { tasks in
            for number in [2, 3] { tasks.addTask { try? await workers.run { number } } }
            var outcomes: [Int?] = [await tasks.next() ?? 0]
            gate.signal()
            outcomes.append(await tasks.next() ?? 0)
            return outcomes
        }
        #expect(outcomes[0] == nil, "refused without waiting")
        #expect(outcomes[1] != nil)
        #expect(try await first == 1)
        #expect(try await workers.run { 4 } == 4, "all places are free again")
    }

    /// How many run, and how many ran at once at most.
    private final class Gauge: Sendable {
        private let state = Mutex((now: 0, most: 0))

        var most: Int { state.withLock { $0.most } }

        func enter() {
            state.withLock { state in
                state.now += 1
                state.most = max(state.most, state.now)
            }
        }

        func leave() { state.withLock { $0.now -= 1 } }
    }

    @Test func neverMoreThanAllowedRunAtOnceAndFailuresGiveTheirPlaceBack() async throws {
        struct Failure: Error {}
        let workers = PasswordWorkers(atOnce: 2, maxWaiting: 100)
        let gauge = Gauge()
        await withTaskGroup(of: Void.self) { tasks in
            for index in 0..<60 {
                tasks.addTask {
                    try? await workers.run {
                        gauge.enter()
                        defer { gauge.leave() }
                        if index % 3 == 0 { throw Failure() }
                    }
                }
            }
        }
        #expect((1...2).contains(gauge.most))
        #expect(try await workers.run { 1 } == 1)
    }
}
