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
        /// May become `given`.
        case calling(@Sendable (Value) -> Void)
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
        let before = state.withLock { state -> State in
            let before = state
            if case .given = before { return before }
            state = .given(value)
            return before
        }
        switch before {
        case .open: break
        case .waiting(let continuation): continuation.resume(returning: value)
        case .calling(let call): call(value)
        case .given: return false
        }
        return true
    }

    /// Has the value handed to `call`, at once if it is there, else by whoever gives it. Instead of `value`.
    func whenGiven(_ call: @escaping @Sendable (Value) -> Void) {
        let given = state.withLock { state -> Value? in
            switch state {
            case .open:
                state = .calling(call)
                return nil
            case .given(let value):
                return value
            case .waiting, .calling:
                preconditionFailure("two wait for one value")
            }
        }
        if let given { call(given) }
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
                case .waiting, .calling:
                    preconditionFailure("two wait for one value")
                }
            }
            if let given { continuation.resume(returning: given) }
        }
    }
}
