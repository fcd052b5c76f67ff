import Foundation
package import Logging
import Metrics
import ServiceLifecycle
import Synchronization
package import Traces
import Transport

/// Sends spans to a collector, in the background, as OTLP over HTTP with JSON.
///
/// It never holds up the work: spans wait in a queue of bounded length, and what does not fit is dropped and counted. The
/// collector's answers decide as the protocol says: 429, 502, 503, 504 and no answer at all are tried again for a while,
/// anything else is final. In a service group it comes first, so that it stops last and sends what the others leave.
package final class OTLPExporter: SpanSink, Service, Sendable {
    package struct Configuration: Sendable {
        /// Where `/v1/traces` is, such as `http://127.0.0.1:4318`.
        package var endpoint: String
        /// What the process is: `service.name` and so on.
        package var resource: [String: String]
        /// The program's version.
        package var version: String
        /// Spans that may wait; more are dropped.
        package var capacity: Int
        /// Spans in one request.
        package var batchSize: Int
        /// Between two looks at the queue.
        package var interval: Duration
        /// How long one request may take.
        package var timeout: Duration
        /// Tries of one batch, the first one included.
        package var maxTries: Int
        /// How long the last batches may take when the process stops.
        package var drainTimeout: Duration

        package init(
            endpoint: String, resource: [String: String], version: String, capacity: Int = 8_192,
            batchSize: Int = 512,
            interval: Duration = .milliseconds(500), timeout: Duration = .seconds(5), maxTries: Int = 5,
            drainTimeout: Duration = .seconds(5)
        ) {
            self.endpoint = endpoint
            self.resource = resource
            self.version = version
            self.capacity = capacity
            self.batchSize = batchSize
            self.interval = interval
            self.timeout = timeout
            self.maxTries = maxTries
            self.drainTimeout = drainTimeout
        }
    }

    private let configuration: Configuration
    private let logger: Logger
    private let client = HTTPClient(name: "otlp", maxConnectionsPerHost: 1)
    private let waiting = Mutex<[Span.Finished]>([])
    private let exported = Counter(label: "telemetry.spans.exported")
    private let overflowed = Counter(
        label: "telemetry.spans.dropped", dimensions: [("reason", "queue_full")])
    private let refused = Counter(
        label: "telemetry.spans.dropped", dimensions: [("reason", "refused")])
    private let undelivered = Counter(
        label: "telemetry.spans.dropped", dimensions: [("reason", "undelivered")])

    package init(_ configuration: Configuration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    /// Takes a span, or counts it as dropped if too many wait.
    package func record(_ span: Span.Finished) {
        let hasRoom = waiting.withLock { waiting in
            guard waiting.count < configuration.capacity else { return false }
            waiting.append(span)
            return true
        }
        if !hasRoom { overflowed.increment() }
    }

    /// Sends until graceful shutdown, and then what is left.
    package func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                await self.flush()
                try? await Task.sleep(for: self.configuration.interval)
            }
        }
        // Shielded from what ended the loop, and bounded by a limit of its own.
        let last = Task { await self.flush() }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await last.value }
            group.addTask { try? await Task.sleep(for: self.configuration.drainTimeout) }
            await group.next()
            last.cancel()
            group.cancelAll()
        }
        undelivered.increment(by: waitingCount)
        await client.close()
    }

    /// Sends all that waits. If its task is cancelled, what is not sent goes on waiting.
    package func flush() async {
        while !Task.isCancelled {
            let batch = waiting.withLock { waiting in
                let batch = Array(waiting.prefix(configuration.batchSize))
                waiting.removeFirst(batch.count)
                return batch
            }
            if batch.isEmpty { return }
            await send(batch)
        }
    }

    /// How many spans wait now.
    package var waitingCount: Int { waiting.withLock { $0.count } }

    private enum Verdict {
        case taken(rejected: Int, why: String?)
        case again(why: String, after: Duration?)
        case never(why: String)
    }

    private func send(_ batch: [Span.Finished]) async {
        guard
            let body = try? OTLPTraces(
                batch, resource: configuration.resource, scopeVersion: configuration.version
            ).json()
        else { return refused.increment(by: batch.count) }
        for attempt in 1...max(1, configuration.maxTries) {
            switch await post(body) {
            case .taken(let rejected, let why):
                let rejected = min(max(rejected, 0), batch.count)
                exported.increment(by: batch.count - rejected)
                refused.increment(by: rejected)
                if rejected > 0 {
                    complain("the collector refused \(rejected) spans", why ?? "no reason given")
                }
                return
            case .never(let why):
                refused.increment(by: batch.count)
                return complain("the collector refuses spans; see NEFF_OTLP_ENDPOINT", why)
            case .again(let why, let delay):
                if Task.isCancelled { return waiting.withLock { $0.insert(contentsOf: batch, at: 0) } }
                if attempt == configuration.maxTries {
                    undelivered.increment(by: batch.count)
                    return complain("the collector cannot be reached, spans were dropped", why)
                }
                let window = Duration.milliseconds(100 << min(attempt, 6))
                try? await Task.sleep(for: delay ?? window * Double.random(in: 0.5...1))
            }
        }
    }

    private func post(_ body: [UInt8]) async -> Verdict {
        let request = HTTPRequest(
            method: "POST", url: url, headers: ["Content-Type": "application/json"], body: body,
            timeout: configuration.timeout, connectTimeout: configuration.timeout,
            maxResponseBytes: 1 << 20)
        do {
            let response = try await client.send(request)
            switch response.status {
            case 200..<300:
                let answer = try? JSONDecoder().decode(OTLPAnswer.self, from: Data(response.body))
                return .taken(
                    rejected: answer?.partialSuccess?.rejected ?? 0, why: answer?.partialSuccess?.errorMessage
                )
            case 429, 502, 503, 504:
                let seconds = response.headers["Retry-After"].flatMap(Int.init)
                return .again(
                    why: "it answered \(response.status)",
                    after: seconds.map { .seconds(min(max($0, 0), 30)) })
            default:
                return .never(why: "it answered \(response.status)")
            }
        } catch {
            return .again(why: "\(error)", after: nil)
        }
    }

    private var url: String {
        let path = "/v1/traces"
        if configuration.endpoint.hasSuffix(path) { return configuration.endpoint }
        return
            (configuration.endpoint.hasSuffix("/")
            ? String(configuration.endpoint.dropLast()) : configuration.endpoint)
            + path
    }

    private func complain(_ message: Logger.Message, _ why: String) {
        logger.info(message, metadata: ["error.detail": "\(why.prefix(300))"])
    }
}
