//! Who a mail says it is from and for: [`EmailAddress`], the one strict form that counts as an identity.
