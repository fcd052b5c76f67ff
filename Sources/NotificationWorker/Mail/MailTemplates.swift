import Domain
import Foundation
import Mustache
package import Persistence

/// Subject and text of every kind of notice, from the files in `Templates`.
///
/// The first line of a template is its subject. What customers typed is put in as it is: the text is plain, and the HTML
/// part is made from it with everything escaped.
package struct MailTemplates: Sendable {
    /// What a notice says.
    package struct Text: Hashable, Sendable {
        package var subject: String
        package var body: String
    }

    /// A template is missing or broken: a fault of this program's build.
    package struct Broken: Error, CustomStringConvertible {
        package let template: String
        package var description: String { "the mail template \(template) is missing or broken" }
    }

    private let templates: [String: MustacheTemplate]
    private let officePhone: String

    package init(officePhone: String) throws {
        self.officePhone = officePhone
        var templates: [String: MustacheTemplate] = [:]
        for (name, bytes) in Self.files {
            do {
                templates[name] = try MustacheTemplate(string: String(decoding: bytes, as: UTF8.self))
            } catch {
                throw Broken(template: name)
            }
        }
        self.templates = templates
    }

    /// The names of all templates.
    package static var names: [String] { files.keys.sorted() }

    private static let files: [String: [UInt8]] = [
        "consultation_booked": PackageResources.consultation_booked_mustache,
        "consultation_moved": PackageResources.consultation_moved_mustache,
        "consultation_canceled": PackageResources.consultation_canceled_mustache,
        "job_scheduled": PackageResources.job_scheduled_mustache,
        "job_moved": PackageResources.job_moved_mustache,
        "job_canceled": PackageResources.job_canceled_mustache,
        "visit_assigned": PackageResources.visit_assigned_mustache,
        "visit_moved": PackageResources.visit_moved_mustache,
        "visit_released": PackageResources.visit_released_mustache,
        "visit_unassigned": PackageResources.visit_unassigned_mustache,
    ]

    package func text(of notice: PlannedNotification) throws -> Text {
        guard let template = templates[notice.template] else { throw Broken(template: notice.template) }
        let facts = notice.facts
        var context: [String: Any] = [
            "name": notice.recipientName, "what": facts.what, "when": VisitClock.text(facts.visit),
            "day": VisitClock.day(facts.visit), "customer": facts.customerName, "office_phone": officePhone,
            "reasons": facts.reasons,
            "alternatives": facts.alternatives.map { alternative in
                let visit = Visit(
                    startsAt: alternative.startsAt, endsAt: alternative.endsAt, timeZone: facts.visit.timeZone)
                return "\(VisitClock.text(visit)), \(alternative.resourceName)"
            },
        ]
        context["previous_when"] = facts.previousVisit.map(VisitClock.text)
        context["address"] = facts.address
        context["assignee"] = facts.assignee
        context["reason"] = facts.reason.flatMap { $0.isEmpty ? nil : $0 }
        context["customer_phone"] = facts.customerPhone
        context["cancel_link"] = facts.cancelLink
        context["reschedule_link"] = facts.rescheduleLink
        let rendered = template.render(context)
        let prefix = "Subject: "
        guard rendered.hasPrefix(prefix), let end = rendered.firstIndex(of: "\n") else {
            throw Broken(template: notice.template)
        }
        return Text(
            subject: String(rendered[..<end].dropFirst(prefix.count)),
            body: rendered[end...].trimmingCharacters(in: .whitespacesAndNewlines) + "\n")
    }
}
