import Synchronization

/// A value that somebody waits for and that is given once; whoever gives first wins.
///
/// Giving before the waiting begins is fine, so a cancellation handler can simply give its own value.
final class OneShot<Value: Sendable>: Sendable {
    private enum State {
        /// Nothing has happened; may become `waiting` or `given`.
        case open
        /// May become `given`.
        case waiting(CheckedContinuation<Value, Never>)
        case given(Value)
    }

    private let state = Mutex(State.open)

    /// Whether a value was given.
    var isGiven: Bool {
        state.withLock { state in if case .given = state { true } else { false } }
    }

    /// Gives the value; false, and without effect, if one was given before.
    @discardableResult
    func give(_ value: Value) -> Bool {
        let (isFirst, continuation) = state.withLock { state -> (Bool, CheckedContinuation<Value, Never>?) in
            switch state {
            case .open:
                state = .given(value)
                return (true, nil)
            case .waiting(let continuation):
                state = .given(value)
                return (true, continuation)
            case .given:
                return (false, nil)
            }
        }
        continuation?.resume(returning: value)
        return isFirst
    }

    /// Waits for the value. To be called once.
    func value() async -> Value {
        await withCheckedContinuation { continuation in
            let given = state.withLock { state -> Value? in
                switch state {
                case .open:
                    state = .waiting(continuation)
                    return nil
                case .given(let value):
                    return value
                case .waiting:
                    preconditionFailure("two tasks wait for one value")
                }
            }
            if let given { continuation.resume(returning: given) }
        }
    }
}
