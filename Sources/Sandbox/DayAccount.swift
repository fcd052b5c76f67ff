import Domain
import Foundation

/// What came of a day, held against what had to come of it.
package struct DayAccount: Sendable {
    /// One thing that was booked, or was not.
    package struct Entry: Sendable, Codable {
        package let who: String
        package let what: String
        package let state: String
        package let when: String
        package let assignee: String
        package let mails: Int
    }

    package let requests: [String: [Int: Int]]
    package let consultations: [Entry]
    package let jobs: [Entry]
    /// Mails to this run's customers, by subject's first words.
    package let customerMails: Int
    /// Mails to estimators and crews.
    package let staffMails: Int
    /// Why it does not add up; empty if it does.
    package let mistakes: [String]

    package var addsUp: Bool { mistakes.isEmpty }

    package init(
        plan: DayPlan, consultations: [Front.Consultation], jobs: [Front.Job], mails: [Mailbox.Mail], deadLetters: Int
    ) {
        var mistakes = plan.mistakes
        var mailCount: [String: Int] = [:]
        var seen: Set<String> = []
        for mail in mails {
            for recipient in mail.recipients {
                mailCount[recipient.lowercased(), default: 0] += 1
                if !seen.insert("\(recipient) \(mail.messageID ?? "")").inserted {
                    mistakes.append("\(recipient) had the mail \"\(mail.subject ?? "")\" twice")
                }
            }
        }
        let byEmail = Dictionary(grouping: consultations) { $0.customer.email ?? "" }
        for expected in plan.consultations {
            let found = byEmail[expected.email] ?? []
            guard let consultation = found.first, found.count == 1 else {
                mistakes.append("\(expected.label): \(found.count) consultations instead of one")
                continue
            }
            if consultation.state != expected.state.rawValue {
                mistakes.append("\(expected.label) is \(consultation.state) instead of \(expected.state.rawValue)")
            }
            if abs(consultation.startsAt.timeIntervalSince(expected.startsAt)) >= 1 {
                mistakes.append("\(expected.label) starts at \(consultation.startsAt), not at \(expected.startsAt)")
            }
            if let assignment = expected.assignment, consultation.assignment != assignment.rawValue {
                mistakes.append("\(expected.label) is \(consultation.assignment) instead of \(assignment.rawValue)")
            }
            if expected.assignment == .unassigned, (consultation.alternatives ?? []).isEmpty {
                mistakes.append("\(expected.label) has nobody and no alternatives are offered")
            }
            if let mails = expected.mails, mailCount[expected.email, default: 0] != mails {
                mistakes.append(
                    "\(expected.label) had \(mailCount[expected.email, default: 0]) mails instead of \(mails)")
            }
        }
        let known = Set(plan.consultations.map(\.email))
        for consultation in consultations {
            guard let email = consultation.customer.email, email.hasSuffix("@" + plan.domain) else { continue }
            if !known.contains(email) {
                mistakes.append("\(consultation.customer.name) was booked and never should be")
            }
        }

        let jobsByEmail = Dictionary(grouping: jobs) { $0.customer.email ?? "" }
        for expected in plan.jobs {
            let found = jobsByEmail[expected.email] ?? []
            if expected.state == nil {
                if !found.isEmpty { mistakes.append("\(expected.label) was booked though it cannot fit") }
            } else if let job = found.first, found.count == 1 {
                if job.state != expected.state { mistakes.append("\(expected.label) is \(job.state)") }
                if let start = expected.startsAt, abs(job.startsAt.timeIntervalSince(start)) >= 1 {
                    mistakes.append("\(expected.label) starts at \(job.startsAt), not at \(start)")
                }
            } else {
                mistakes.append("\(expected.label): \(found.count) jobs instead of one")
            }
            if mailCount[expected.email, default: 0] != expected.mails {
                mistakes.append(
                    "\(expected.label) had \(mailCount[expected.email, default: 0]) mails instead of \(expected.mails)")
            }
        }
        if deadLetters != plan.expectedDeadLetters {
            mistakes.append("\(deadLetters) dead letters instead of \(plan.expectedDeadLetters)")
        }

        let clock = VisitTime()
        let ours = consultations.filter { $0.customer.email?.hasSuffix("@" + plan.domain) == true }
        self.consultations = ours.sorted { $0.startsAt < $1.startsAt }.map { consultation in
            Entry(
                who: consultation.customer.name, what: consultation.kind, state: consultation.state,
                when: clock.text(consultation.startsAt),
                assignee: consultation.assignee?.name ?? consultation.assignment,
                mails: mailCount[consultation.customer.email ?? "", default: 0])
        }
        let ourJobs = jobs.filter { $0.customer.email?.hasSuffix("@" + plan.domain) == true }
        self.jobs = ourJobs.sorted { $0.startsAt < $1.startsAt }.map { job in
            Entry(
                who: job.customer.name, what: job.number, state: job.state, when: clock.text(job.startsAt),
                assignee: job.crew?.name ?? "none", mails: mailCount[job.customer.email ?? "", default: 0])
        }
        requests = plan.requests
        customerMails = mailCount.filter { $0.key.hasSuffix("@" + plan.domain) }.values.reduce(0, +)
        staffMails = mailCount.values.reduce(0, +) - customerMails
        self.mistakes = mistakes
    }
}

/// Instants as people at the site read them.
private struct VisitTime {
    private let zone = TimeZone(identifier: SiteCalendar.zone) ?? .gmt
    private let clock = SiteClock(identifier: SiteCalendar.zone)

    /// Such as `Mon 2027-03-15 09:00 EDT`.
    func text(_ date: Date) -> String {
        let style = Date.VerbatimFormatStyle(
            format: """
                \(weekday: .abbreviated) \(year: .defaultDigits)-\(month: .twoDigits)-\(day: .twoDigits) \
                \(hour: .twoDigits(clock: .twentyFourHour, hourCycle: .zeroBased)):\(minute: .twoDigits)
                """,
            locale: Locale(identifier: "en_US"), timeZone: zone, calendar: Calendar(identifier: .gregorian))
        return "\(date.formatted(style)) \(clock?.abbreviation(at: date) ?? "UTC")"
    }
}
