import AMQP
import Settings
import Topology
import Transport

/// The broker's management API, for a command that runs and ends.
enum Management {
    static func with<Result: Sendable>(_ body: (ManagementAPI) async throws -> Result) async throws -> Result {
        let settings = try Settings.load()
        let address = try ManagementAddress(settings.value(Keys.managementURL))
        let client = HTTPClient(name: "management")
        do {
            let virtualHost = try Broker.configuration(settings, purpose: "topology").virtualHost
            let result = try await body(ManagementAPI(address: address, virtualHost: virtualHost, client: client))
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }
}
