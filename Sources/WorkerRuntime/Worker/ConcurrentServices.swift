package import ServiceLifecycle

/// Services that run, and stop, side by side.
///
/// A service group stops its services one after the other, so of several workers in it the last would go on taking messages
/// while the first drains, and their deadlines would add up. In here all hear of a graceful shutdown in the same instant.
/// In a service group it comes after everything that its services use until their end.
package struct ConcurrentServices: Service {
    private let services: [any Service]

    package init(_ services: [any Service]) {
        self.services = services
    }

    /// Runs until all have ended. One that ends before it was told to, or throws, takes the others with it by cancellation.
    ///
    /// - Throws: the first error of a service; the others have ended then.
    package func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for service in services { group.addTask { try await service.run() } }
            while try await group.next() != nil {
                if !Task.isShuttingDownGracefully { group.cancelAll() }
            }
        }
    }
}
