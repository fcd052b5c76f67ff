/// What load balancers ask for. Anybody may ask, so the answers say yes or no and nothing else; the admin endpoint tells
/// more.
package struct Probes: Sendable {
    /// Whether the process can do its work; asked at most once a second, however many requests come.
    package var isReady: @Sendable () async -> Bool

    package init(isReady: @escaping @Sendable () async -> Bool = { true }) {
        self.isReady = isReady
    }
}
