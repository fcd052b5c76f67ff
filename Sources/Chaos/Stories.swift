import Calendly
import Domain
import Foundation
import Messaging
import Sandbox

/// What one customer, or the office for one customer, does in a run.
struct Script: Sendable {
    enum Step: Sendable {
        case deliver(Delivery, copies: Int)
        case createJob(startsAt: Date, copies: Int)
        case moveJob(startsAt: Date)
        case cancelJob
        case pause(Duration)
    }

    let story: Record.Story
    let steps: [Step]

    /// How many requests it makes.
    var requestCount: Int {
        steps.reduce(0) { count, step in
            switch step {
            case .deliver(_, let copies), .createJob(_, let copies): count + copies
            case .moveJob, .cancelJob: count + 1
            case .pause: count
            }
        }
    }
}

/// Makes the scripts of a run from its seed.
struct ScriptWriter {
    private var generator: SeededGenerator
    private var account: CalendlyAccount
    private let calendar: SiteCalendar
    private let domain: String
    private let mailTrouble: Double
    /// Business days that jobs are spread over, so that most of them find a crew.
    private let jobDays: ClosedRange<Int>

    /// - Parameter mailTrouble: the share of customers whose mail the server refuses, delays or loses, from 0 to 1.
    init(seed: UInt64, domain: String, stories: Int, mailTrouble: Double) {
        generator = SeededGenerator(seed: seed, part: "stories")
        let now = Date()
        account = CalendlyAccount(run: domain, now: now)
        calendar = SiteCalendar(now: now)
        self.domain = domain
        self.mailTrouble = mailTrouble
        jobDays = 41...(59 + stories / 20)
    }

    mutating func write(_ number: Int) -> Script {
        let (email, isRefused) = address(number)
        func story(_ expectation: Record.Story.Expectation) -> Record.Story {
            Record.Story(number: number, email: email, expectation: expectation, isRefused: isRefused)
        }
        let kinds: [ConsultationKind] = [.residential, .commercial, .maintenance]
        let kind = kinds.randomElement(using: &generator) ?? .residential
        let host = Int.random(in: 1...4, using: &generator)
        let choice = Int.random(in: 0..<100, using: &generator)
        if choice >= 82 {
            let start = jobSlot()
            let copies = Int.random(in: 1...2, using: &generator)
            var steps: [Script.Step] = [.createJob(startsAt: start, copies: copies)]
            switch choice % 3 {
            case 0:
                steps += [pause(), .moveJob(startsAt: jobSlot())]
                return Script(story: story(.job(state: "scheduled")), steps: steps)
            case 1:
                steps += [pause(), .cancelJob]
                return Script(story: story(.job(state: "canceled")), steps: steps)
            default: return Script(story: story(.job(state: "scheduled")), steps: steps)
            }
        }
        let booking = account.book(
            kind, name: "Customer \(number)", email: email, at: slot(), address: "\(number) Orchard Hill Rd",
            host: CalendlyAccount.host("Estimator \(host)", email: "estimator.\(host)@\(domain)"))
        let created = account.created(booking)
        let stands = Record.Story.Expectation.consultation(state: "booked", startsAt: booking.startsAt)
        let falls = Record.Story.Expectation.consultation(state: "canceled", startsAt: booking.startsAt)
        switch choice {
        case ..<30: return Script(story: story(stands), steps: [.deliver(created, copies: 1)])
        case ..<45:
            return Script(
                story: story(stands),
                steps: [
                    .deliver(created, copies: Int.random(in: 2...3, using: &generator)), pause(),
                    .deliver(created, copies: 1),
                ])
        case ..<57:
            let canceled = account.canceled(booking, by: .invitee, reason: "Found another date")
            return Script(
                story: story(falls), steps: [.deliver(created, copies: 1), pause(), .deliver(canceled, copies: 1)])
        case ..<62:
            let canceled = account.canceled(booking, by: .host, reason: "")
            return Script(
                story: story(falls), steps: [.deliver(canceled, copies: 2), pause(), .deliver(created, copies: 1)])
        default:
            let (old, new) = account.move(booking, to: slot())
            let halves = [
                account.canceled(old, by: .invitee, reason: "Another day suits better"), account.created(new),
            ]
            let order = choice < 74 ? halves : halves.reversed()
            var steps: [Script.Step] = [.deliver(created, copies: 1)]
            if choice < 78 { steps.append(pause()) }
            steps += order.map { .deliver($0, copies: 1) }
            return Script(story: story(.consultation(state: "booked", startsAt: new.startsAt)), steps: steps)
        }
    }

    private mutating func pause() -> Script.Step {
        .pause(.milliseconds(Int.random(in: 100...3_000, using: &generator)))
    }

    private mutating func slot() -> Date {
        calendar.businessDay(
            Int.random(in: 2...40, using: &generator), hour: Int.random(in: 8...15, using: &generator))
    }

    private mutating func jobSlot() -> Date {
        calendar.businessDay(
            Int.random(in: jobDays, using: &generator), hour: Bool.random(using: &generator) ? 8 : 12)
    }

    /// Customers in trouble have a domain each: the mail server's scripts are keyed by the whole address.
    private mutating func address(_ number: Int) -> (email: String, isRefused: Bool) {
        guard Double.random(in: 0..<1, using: &generator) < mailTrouble else {
            return ("customer.\(number)@\(domain)", false)
        }
        let word =
            ["once-421", "once-451", "slow-1500ms", "lost-once", "refused-550", "data-552"]
            .randomElement(using: &generator) ?? "once-451"
        return ("\(word)@c\(number).\(domain)", word.hasPrefix("refused") || word.hasPrefix("data"))
    }
}

extension Delivery {
    /// The id that the ingress gives this webhook's message when its signature is valid.
    var messageID: String {
        guard let summary = try? WebhookSummary.parse(body) else { return "" }
        return MessageID.hex(MessageID.digest(summary.deduplicationParts).prefix(16))
    }
}
