import Calendly
import HTTPTypes
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

/// How an attempt to log in ended; the label `outcome`.
enum LogInOutcome: String, CaseIterable {
    case begun, refused, throttled
}

/// What the ingress counts beside requests. Handles are made once: a factory's look-up each time would cost more than the
/// count.
///
/// `ingress.webhooks` (verdict), `ingress.spooled` (kind), `ingress.log_ins` (outcome), `ingress.overloaded`,
/// `ingress.unavailable`.
struct IngressMetrics: Sendable {
    private let webhooks: [WebhookVerdict: Counter]
    private let spools: [Intake.Kind: Counter]
    private let logIns: [LogInOutcome: Counter]
    private let overloads: Counter
    private let unavailabilities: Counter

    init(factory: any MetricsFactory) {
        overloads = Counter(label: "ingress.overloaded", factory: factory)
        unavailabilities = Counter(label: "ingress.unavailable", factory: factory)
        webhooks = Dictionary(
            uniqueKeysWithValues: WebhookVerdict.allCases.map {
                ($0, Counter(label: "ingress.webhooks", dimensions: [("verdict", $0.rawValue)], factory: factory))
            })
        logIns = Dictionary(
            uniqueKeysWithValues: LogInOutcome.allCases.map {
                ($0, Counter(label: "ingress.log_ins", dimensions: [("outcome", $0.rawValue)], factory: factory))
            })
        spools = Dictionary(
            uniqueKeysWithValues: Intake.Kind.allCases.map {
                ($0, Counter(label: "ingress.spooled", dimensions: [("kind", $0.rawValue)], factory: factory))
            })
    }

    func webhook(_ verdict: WebhookVerdict) { webhooks[verdict]?.increment() }

    /// A message went to the spool instead of the broker.
    func spooled(_ kind: Intake.Kind) { spools[kind]?.increment() }

    func logIn(_ outcome: LogInOutcome) { logIns[outcome]?.increment() }

    /// The publisher's window was full.
    func overloaded() { overloads.increment() }

    /// A request failed because the database, or both database and broker, were away.
    func unavailable() { unavailabilities.increment() }
}

/// What the ingress counts of every request: `http.requests` (route, status) and `http.request.duration` (route), from the
/// complete header until the answer is ready.
final class RouteMetrics: Sendable {
    /// The route of requests that match none, so that scanners cannot make labels.
    static let unmatched = "unmatched"

    private struct Key: Hashable {
        let route: Int
        let status: Int
    }

    private let factory: any MetricsFactory
    private let routes: [String]
    private let durations: [Timer]
    private let requests: Mutex<[Key: Counter]> = Mutex([:])

    init(_ routes: [Route], factory: any MetricsFactory) {
        self.factory = factory
        self.routes = routes.map { "\($0.method.rawValue) \($0.template)" } + [Self.unmatched]
        durations = self.routes.map {
            Timer(label: "http.request.duration", dimensions: [("route", $0)], factory: factory)
        }
    }

    /// - Parameter route: its index; nil if none matched.
    func answered(route: Int?, status: Int, within duration: Duration) {
        let key = Key(route: route ?? routes.count - 1, status: status)
        let (seconds, attoseconds) = duration.components
        durations[key.route].recordNanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
        let counter = requests.withLock { requests in
            if let counter = requests[key] { return counter }
            let counter = Counter(
                label: "http.requests", dimensions: [("route", routes[key.route]), ("status", "\(status)")],
                factory: factory)
            requests[key] = counter
            return counter
        }
        counter.increment()
    }
}
