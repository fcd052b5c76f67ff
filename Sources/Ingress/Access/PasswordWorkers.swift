import HTTPTypes
import NIOPosix
import Persistence
import Synchronization

/// Where passwords are hashed: on threads for blocking work, a few at once, and a few more that wait.
///
/// Each hash holds `PasswordHash.Parameters.memoryBytes` and a core for a good part of a second, so whoever can ask for one
/// without showing who they are could take all memory. Beyond the bound they are told to come back.
final class PasswordWorkers: Sendable {
    private struct State {
        var running = 0
        /// Resumed with true when it is their turn.
        var waiting: [CheckedContinuation<Bool, Never>] = []
    }

    private let atOnce: Int
    private let maxWaiting: Int
    private let state = Mutex(State())

    /// - Parameters:
    ///   - atOnce: hashes that are computed side by side; each takes the memory of one.
    ///   - maxWaiting: further ones that wait their turn.
    init(atOnce: Int, maxWaiting: Int) {
        self.atOnce = atOnce
        self.maxWaiting = maxWaiting
    }

    /// Runs work on a thread that may block, once it is its turn. A turn that was taken is waited for, also when the task is
    /// cancelled: the wait is short, and bounded by those before.
    ///
    /// - Throws: `ProblemResponse` (503 `overloaded`) if too many wait already; what the work throws.
    func run<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await enter()
        defer { leave() }
        return try await NIOThreadPool.singleton.runIfActive(work)
    }

    private func enter() async throws(ProblemResponse) {
        let isAdmitted = await withCheckedContinuation { (turn: CheckedContinuation<Bool, Never>) in
            let answer = state.withLock { state -> Bool? in
                if state.running < atOnce {
                    state.running += 1
                    return true
                }
                guard state.waiting.count < maxWaiting else { return false }
                state.waiting.append(turn)
                return nil
            }
            if let answer { turn.resume(returning: answer) }
        }
        guard isAdmitted else {
            throw ProblemResponse(
                .overloaded, "Too many passwords are being checked.", headers: [.retryAfter: "5"])
        }
    }

    private func leave() {
        let next = state.withLock { state -> CheckedContinuation<Bool, Never>? in
            guard state.waiting.isEmpty else { return state.waiting.removeFirst() }
            state.running -= 1
            return nil
        }
        next?.resume(returning: true)
    }
}
