import Logging
import Persistence
import Postgres
import ServiceLifecycle

/// Keeps the changes of resources' loads few, because whoever books reads those of the weeks in question one by one.
///
/// Any number of processes may do it; at any time one of them does.
struct LoadFolding: Service {
    let pool: PostgresPool
    let logger: Logger

    private static let limit = 5_000

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                let folded = await fold()
                // A full measure: there is more.
                if folded < Self.limit { try? await Task.sleep(for: .seconds(2)) }
            }
        }
    }

    private func fold() async -> Int {
        do {
            return try await ResourceLoads.fold(upTo: Self.limit, on: pool)
        } catch {
            logger.debug("loads not folded", metadata: ["error": "\(error)"])
            return 0
        }
    }
}
