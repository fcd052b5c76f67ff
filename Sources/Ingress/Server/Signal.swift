import Synchronization

/// A value that is known later, once.
final class Signal<Value: Sendable>: Sendable {
    private enum State {
        case pending([UInt64: CheckedContinuation<Value, any Error>])
        case known(Value)
        case failed
    }

    private let state = Mutex<(state: State, lastTicket: UInt64)>((.pending([:]), 0))

    /// - Throws: `CancellationError` if the task is cancelled or the value will never come.
    func value() async throws -> Value {
        let ticket = state.withLock { state in
            state.lastTicket += 1
            return state.lastTicket
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let answer: Result<Value, any Error>? = state.withLock { state in
                    switch state.state {
                    case .pending(var waiting):
                        // The handler below may have run already; the flag is set before it does.
                        if Task.isCancelled { return .failure(CancellationError()) }
                        waiting[ticket] = continuation
                        state.state = .pending(waiting)
                        return nil
                    case .known(let value): return .success(value)
                    case .failed: return .failure(CancellationError())
                    }
                }
                if let answer { continuation.resume(with: answer) }
            }
        } onCancel: {
            let continuation = state.withLock { state -> CheckedContinuation<Value, any Error>? in
                guard case .pending(var waiting) = state.state else { return nil }
                defer { state.state = .pending(waiting) }
                return waiting.removeValue(forKey: ticket)
            }
            continuation?.resume(throwing: CancellationError())
        }
    }

    /// The first call counts.
    func succeed(_ value: Value) {
        settle(.known(value)) { $0.resume(returning: value) }
    }

    func fail() {
        settle(.failed) { $0.resume(throwing: CancellationError()) }
    }

    private func settle(_ end: State, _ resume: (CheckedContinuation<Value, any Error>) -> Void) {
        let waiting = state.withLock { state -> [CheckedContinuation<Value, any Error>] in
            guard case .pending(let waiting) = state.state else { return [] }
            state.state = end
            return Array(waiting.values)
        }
        waiting.forEach(resume)
    }
}
