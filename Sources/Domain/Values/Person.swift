/// Somebody we may have to reach: a customer, an estimator, a crew's foreman.
package struct Person: Codable, Hashable, Sendable {
    package var name: String
    package var email: String?
    /// As typed by the person or in E.164; not checked here.
    package var phone: String?

    package init(name: String, email: String? = nil, phone: String? = nil) {
        self.name = name
        self.email = email
        self.phone = phone
    }
}

/// A resource as messages and answers name it.
package struct Assignee: Codable, Hashable, Sendable {
    package var id: ResourceID
    package var name: String
    package var email: String?

    package init(id: ResourceID, name: String, email: String? = nil) {
        self.id = id
        self.name = name
        self.email = email
    }
}
