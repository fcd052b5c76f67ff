import Foundation
import Logging
import Persistence
import Postgres
import ServiceLifecycle

/// Reports a process to the table `workers` that has no worker of the runtime in it, so that `neff status` shows it.
struct Heartbeat: Service {
    let role: String
    let pool: PostgresPool
    let logger: Logger

    func run() async throws {
        let identity = Workers.Identity(
            id: "\(role)@\(ProcessInfo.processInfo.hostName):\(getpid())", role: role,
            host: ProcessInfo.processInfo.hostName, pid: getpid(), version: Version.text)
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                await report(identity, isStopping: false)
                try? await Task.sleep(for: .seconds(5))
            }
        }
        await report(identity, isStopping: true)
    }

    private func report(_ identity: Workers.Identity, isStopping: Bool) async {
        do {
            try await Workers.report(identity, Workers.Counts(), isStopping: isStopping, on: pool)
        } catch {
            logger.debug("heartbeat not written", metadata: ["error": "\(error)"])
        }
    }
}
