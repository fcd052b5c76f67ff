import Sandbox

/// The account of a day, for people or as JSON.
struct DayReport: Encodable {
    private let requests: [String: [String: Int]]
    private let consultations: [DayAccount.Entry]
    private let jobs: [DayAccount.Entry]
    private let customerMails: Int
    private let staffMails: Int
    private let mistakes: [String]
    private let addsUp: Bool

    init(_ account: DayAccount) {
        requests = account.requests.mapValues { statuses in
            Dictionary(uniqueKeysWithValues: statuses.map { (String($0.key), $0.value) })
        }
        consultations = account.consultations
        jobs = account.jobs
        customerMails = account.customerMails
        staffMails = account.staffMails
        mistakes = account.mistakes
        addsUp = account.addsUp
    }

    func print() {
        Swift.print("\nWhat came in")
        for (kind, statuses) in requests.sorted(by: { $0.key < $1.key }) {
            let answers = statuses.sorted { $0.key < $1.key }.map { "\($0.value) answered \($0.key)" }
            Swift.print("  \(statuses.values.reduce(0, +)) \(kind): \(answers.joined(separator: ", "))")
        }
        Swift.print("\nConsultations")
        table(consultations, kind: "KIND")
        Swift.print("\nJobs")
        table(jobs, kind: "NUMBER")
        Swift.print("\nMail: \(customerMails) to customers, \(staffMails) to estimators and crews, none twice.")
        if addsUp {
            Swift.print(Terminal.green("\nThe account adds up."))
        } else {
            Swift.print(Terminal.red("\nThe account does not add up:"))
            for mistake in mistakes { Swift.print("  - \(mistake)") }
        }
    }

    private func table(_ entries: [DayAccount.Entry], kind: String) {
        var table = Table("CUSTOMER", kind, "STATE", "WHEN", "WHO GOES", "MAILS")
        for entry in entries {
            table.add(entry.who, entry.what, entry.state, entry.when, entry.assignee, String(entry.mails))
        }
        table.print()
    }
}
