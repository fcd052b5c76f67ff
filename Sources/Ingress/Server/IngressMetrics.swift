import Calendly
import Metrics
import Synchronization

/// How a webhook was judged; the label `verdict`.
enum WebhookVerdict: String, CaseIterable {
    case valid, stale, missing, malformed, mismatch
    case notJSON = "not_json"
    case unconfigured

    init(_ reason: WebhookSignature.Reason) {
        switch reason {
        case .missing: self = .missing
        case .malformed: self = .malformed
        case .mismatch: self = .mismatch
        }
    }
}

/// What the ingress counts. Handles are made once: a factory's look-up for each request would cost more than the count.
///
/// - `http.requests` (route, status), `http.request.duration` (route): from the complete header to the written answer.
/// - `ingress.webhooks` (verdict), `ingress.spooled` (kind), `ingress.overloaded`, `ingress.unavailable`.
final class IngressMetrics: Sendable {
    private let routes: [String]
    private let durations: [Timer]
    private let requests: Mutex<[Int: Counter]> = Mutex([:])
    private let webhooks: [WebhookVerdict: Counter]
    private let spools: [Intake.Kind: Counter]
    private let overloads = Counter(label: "ingress.overloaded")
    private let unavailabilities = Counter(label: "ingress.unavailable")

    /// - Parameter routes: method and template of each, in the order of the table.
    init(routes: [String]) {
        self.routes = routes + [Self.unmatched]
        durations = self.routes.map { Timer(label: "http.request.duration", dimensions: [("route", $0)]) }
        webhooks = Dictionary(
            uniqueKeysWithValues: WebhookVerdict.allCases.map {
                ($0, Counter(label: "ingress.webhooks", dimensions: [("verdict", $0.rawValue)]))
            })
        spools = Dictionary(
            uniqueKeysWithValues: Intake.Kind.allCases.map {
                ($0, Counter(label: "ingress.spooled", dimensions: [("kind", $0.rawValue)]))
            })
    }

    /// The route of requests that match none, so that scanners cannot make labels.
    static let unmatched = "unmatched"

    /// - Parameter route: its index; nil if none matched.
    func answered(route: Int?, status: Int, nanoseconds: Int64) {
        let index = route ?? routes.count - 1
        durations[index].recordNanoseconds(nanoseconds)
        let counter = requests.withLock { requests in
            let key = index * 1_000 + status
            if let counter = requests[key] { return counter }
            let counter = Counter(
                label: "http.requests", dimensions: [("route", routes[index]), ("status", "\(status)")])
            requests[key] = counter
            return counter
        }
        counter.increment()
    }

    func webhook(_ verdict: WebhookVerdict) {
        webhooks[verdict]?.increment()
    }

    func spooled(_ kind: Intake.Kind) {
        spools[kind]?.increment()
    }

    func overloaded() { overloads.increment() }

    func unavailable() { unavailabilities.increment() }
}
