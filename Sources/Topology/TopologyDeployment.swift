/// Brings a broker to the topology of a file, or says how far it is from it.
package struct TopologyDeployment: Sendable {
    private let document: TopologyDocument
    private let broker: any BrokerAdministration
    private let passwords: RolePasswords

    /// - Parameter passwords: users of roles without one are not created, and keep their password if they exist.
    package init(
        _ document: TopologyDocument, on broker: any BrokerAdministration, passwords: RolePasswords = RolePasswords()
    ) {
        self.document = document
        self.broker = broker
        self.passwords = passwords
    }

    /// What `apply` would do now. Changes nothing.
    /// - Throws: also `invalidDocument` when the topology would lose messages on this broker's version.
    package func plan() async throws(TopologyError) -> Plan {
        let survey = try await broker.survey()
        return Plan(wanted: try wanted(for: survey), survey: survey)
    }

    /// Makes every change of the plan, in order. Applying twice changes nothing the second time; after a failure in the
    /// middle, applying again goes on.
    /// - Parameter progress: told of each change after it is made.
    /// - Returns: the plan that was carried out.
    /// - Throws: `conflict`, before any change, if something cannot be changed in place.
    @discardableResult
    package func apply(
        progress: @Sendable (Change) -> Void = { _ in }
    ) async throws(TopologyError) -> Plan {
        let survey = try await broker.survey()
        guard survey.unseen.isEmpty else {
            throw TopologyError(
                .accessRefused,
                "the broker does not show its \(survey.unseen.sorted().joined(separator: ", ")) to this user, so nothing "
                    + "was changed. The user needs the tag administrator.")
        }
        let plan = Plan(wanted: try wanted(for: survey), survey: survey)
        let conflicts = plan.findings.filter { $0.severity == .error }
        guard conflicts.isEmpty else {
            throw TopologyError(
                .conflict, "nothing was changed, because:\n" + conflicts.map(\.description).joined(separator: "\n"))
        }
        for change in plan.changes {
            try await broker.perform(change)
            progress(change)
        }
        return plan
    }

    /// Compares the broker with the file and judges its health. Changes nothing.
    /// - Parameter patience: how long to wait for statistics that still show a policy from before its last change; a
    ///   queue reports them every 5 seconds.
    package func verify(patience: Duration = .seconds(15)) async throws(TopologyError) -> Verification {
        let deadline = ContinuousClock.now + patience
        var survey = try await broker.survey()
        while survey.isLagging, ContinuousClock.now < deadline, !Task.isCancelled {
            // A cancelled wait only means that the late statistics are judged as they are.
            try? await Task.sleep(for: .milliseconds(500))
            survey = try await broker.survey()
        }
        return Verification(document: document, wanted: try wanted(for: survey), survey: survey)
    }

    private func wanted(for survey: BrokerSurvey) throws(TopologyError) -> BrokerState {
        var wanted = document.desiredState(for: survey.version, passwords: passwords.byRole)
        let findings = StaticCheck(wanted, version: survey.version).findings()
        guard !findings.hasErrors else {
            throw TopologyError(
                .invalidDocument,
                "the topology file would lose messages:\n" + findings.map(\.description).joined(separator: "\n"))
        }
        // Each hashing has its own salt: keep the broker's hash where the password is the same.
        for (role, password) in passwords.byRole {
            let user = TopologyDocument.user(of: role)
            if let present = survey.state.users[user]?.passwordHash, present.matches(password) {
                wanted.users[user]?.passwordHash = present
            }
        }
        // What cannot be seen cannot be compared; the plan says so.
        if survey.unseen.contains("users") { wanted.users = [:] }
        if survey.unseen.contains("permissions") { wanted.permissions = [:] }
        return wanted
    }
}
