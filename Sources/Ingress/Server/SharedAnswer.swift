/// An answer that is asked for at most once in a while, and that everybody who comes meanwhile shares.
package actor SharedAnswer {
    private let lifetime: Duration
    private let now: @Sendable () -> ContinuousClock.Instant
    private let ask: @Sendable () async -> Bool
    private var last: (value: Bool, at: ContinuousClock.Instant)?
    private var asking: Task<Bool, Never>?

    /// - Parameter lifetime: how long an answer is given again, from when it was there.
    package init(
        lifetime: Duration, now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        ask: @escaping @Sendable () async -> Bool
    ) {
        self.lifetime = lifetime
        self.now = now
        self.ask = ask
    }

    /// The answer, at most `lifetime` old. A caller that is cancelled waits on: others wait for the same.
    package func value() async -> Bool {
        if let last, now() - last.at < lifetime { return last.value }
        if let asking { return await asking.value }
        // Unstructured because it belongs to everybody who waits for it, not to who came first.
        let task = Task {
            let value = await ask()
            last = (value, now())
            asking = nil
            return value
        }
        asking = task
        return await task.value
    }
}
