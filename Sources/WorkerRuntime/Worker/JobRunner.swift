import AMQP
import Foundation
import Logging
import Messaging
import Metrics
import Persistence
import Postgres
import Synchronization

/// Runs jobs and says how each of them ended; never throws, and never settles anything.
protocol JobRunner: Sendable {
    /// The most jobs it can run together.
    var maxBatchSize: Int { get }
    /// Takes jobs that one lane is to run, at least one if there is any.
    ///
    /// - Parameter freeLanes: how many lanes have nothing to do, this one included.
    func take(from ready: inout [Job], freeLanes: Int) -> [Job]
    /// Runs jobs; the answers are in the order of the jobs.
    ///
    /// While PostgreSQL is away it waits, and no job ends. Once its task is cancelled, what is unfinished ends as
    /// `interrupted`.
    func run(_ jobs: [Job]) async -> [JobResult]
}

extension JobRunner {
    func take(from ready: inout [Job], freeLanes: Int) -> [Job] {
        ready.takeShare(of: freeLanes, upTo: maxBatchSize)
    }
}

extension [Job] {
    /// Takes out what one of the free lanes gets if all get alike, so that none works while another waits.
    mutating func takeShare(of freeLanes: Int, upTo limit: Int) -> [Job] {
        let jobs = Array(prefix(Swift.min(limit, (count + freeLanes - 1) / freeLanes)))
        removeFirst(jobs.count)
        return jobs
    }

    /// Takes out the first; if it can be run together with others, all of those with it, wherever they stand.
    mutating func takeFirst(withAllLikeIt isJoining: (Job) -> Bool, upTo limit: Int) -> [Job] {
        guard let first else { return [] }
        guard isJoining(first) else { return [removeFirst()] }
        var jobs: [Job] = []
        removeAll { job in
            guard jobs.count < limit, isJoining(job) else { return false }
            jobs.append(job)
            return true
        }
        return jobs
    }
}

/// What both kinds of runner need.
struct RunnerSettings: Sendable {
    let configuration: WorkerConfiguration
    let pool: PostgresPool
    let relayOutbox: @Sendable () -> Void
    let isShuttingDown: @Sendable () -> Bool
    let logger: Logger

    func logger(for job: Job) -> Logger {
        var logger = logger
        logger[metadataKey: LogKey.messageID] = "\(job.envelope.id)"
        logger[metadataKey: LogKey.messageType] = "\(job.envelope.type)"
        logger[metadataKey: LogKey.correlationID] = "\(job.envelope.correlationID)"
        logger[metadataKey: LogKey.queue] = "\(job.delivery.queue)"
        logger[metadataKey: LogKey.attempt] = "\(job.envelope.attemptCount + 1)"
        return logger
    }
}

/// How often work is run again at once before the message pays for it, and how long it waits in between.
struct InPlaceRestarts {
    /// Lost races against other transactions.
    static let maxContentions = 4
    /// Connections that broke under one message. The first few are the server's doing; a message whose every try ends
    /// that way may be what breaks them.
    static let maxLosses = 5

    private(set) var contentions = 0
    private(set) var losses = 0
    private var pauses = 0

    /// Takes note of a failure.
    ///
    /// - Parameter hasBegun: whether a connection had been got.
    /// - Returns: how the job ends; nil to wait for `pause` and run it again.
    mutating func result(of cause: FailureCause, hasBegun: Bool, isCancelled: Bool) -> JobResult? {
        if isCancelled { return .interrupted }
        switch cause {
        case .cancelled:
            return .failed(Failure(code: "cancelled", detail: "the handler cancelled itself"))
        case .undecodable(let failure):
            return .undecodable(failure)
        case .unstorable(let failure):
            return .finished(.deadLetter(code: failure.code, detail: failure.detail))
        case .other(let failure):
            return .failed(failure)
        case .contention(let failure):
            contentions += 1
            count(failure.code)
            return contentions > Self.maxContentions ? .failed(failure) : nil
        case .databaseAway:
            if hasBegun { losses += 1 }
            count("away")
            let failure = Failure(
                code: "db.connection_lost", detail: "the database connection broke \(losses) times during this job")
            return losses > Self.maxLosses ? .failed(failure) : nil
        }
    }

    /// How long to wait before the next run: full jitter over a window that doubles, 40 ms to 5 s.
    mutating func pause(fraction: Double = .random(in: 0...1)) -> Duration {
        pauses += 1
        let window = min(5_000, 20 << min(pauses, 10))
        return .milliseconds(max(5, Int(Double(window) * fraction)))
    }

    private func count(_ cause: String) {
        Counter(label: "worker.transaction.restarts", dimensions: [("cause", cause)]).increment()
    }
}
