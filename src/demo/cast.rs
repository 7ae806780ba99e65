//! Who lives in the demonstration. Names, companies, addresses and numbers are made up; mail domains end in `.example`,
//! which leads nowhere (RFC 2606), and telephone numbers are of the ranges kept for fiction.

use crate::i18n::Locale::{self, En, Fr};
use crate::teams::queues::QueueKind as Q;

/// The vendor.
pub const OPERATOR: &str = "Lumenor Logiciels";
/// Where its customers write to.
pub const SUPPORT_ADDRESS: &str = "assistance@lumenor.example";

/// What somebody does, at the vendor or at a customer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Agent,
    Supervisor,
    Administrator,
    PrivacyOfficer,
    /// A customer's contact who manages their organisation.
    Manager,
    Employee,
}

/// Somebody.
pub struct Member {
    pub first_name: &'static str,
    pub last_name: &'static str,
    pub job_title: &'static str,
    pub address: &'static str,
    pub telephone: &'static str,
    pub language: Locale,
    pub role: Role,
    /// Where they work, for staff.
    pub queues: &'static [Q],
}

/// A place with the set-up that runs there.
pub struct Place {
    pub name: &'static str,
    pub address: &'static str,
    pub person_in_charge: &'static str,
    pub telephone: &'static str,
    pub environment: &'static str,
    pub operating_system: &'static str,
    pub products: &'static [(&'static str, &'static str)],
    pub components: &'static [(&'static str, &'static str)],
}

/// A customer.
pub struct Company {
    pub name: &'static str,
    pub address: &'static str,
    pub postal_code: &'static str,
    pub city: &'static str,
    pub country: &'static str,
    pub vat_number: &'static str,
    pub telephone: &'static str,
    pub language: Locale,
    pub members: &'static [Member],
    pub sites: &'static [Place],
}

const fn staff(
    first_name: &'static str,
    last_name: &'static str,
    job_title: &'static str,
    address: &'static str,
    role: Role,
    queues: &'static [Q],
) -> Member {
    Member { first_name, last_name, job_title, address, telephone: "+33 1 99 00 41 00", language: Fr, role, queues }
}

const fn customer(
    first_name: &'static str,
    last_name: &'static str,
    job_title: &'static str,
    address: &'static str,
    telephone: &'static str,
    language: Locale,
    role: Role,
) -> Member {
    Member { first_name, last_name, job_title, address, telephone, language, role, queues: &[] }
}

/// Who set the desk up.
pub const ADMINISTRATOR: Member =
    staff("Hélène", "Vasseur", "Responsable informatique", "helene.vasseur@lumenor.example", Role::Administrator, &[]);

/// Everybody else at the vendor.
pub const STAFF: &[Member] = &[
    staff("Camille", "Renaud", "Cheffe de l’assistance", "camille.renaud@lumenor.example", Role::Supervisor, &[]),
    staff(
        "Julien",
        "Morvan",
        "Technicien d’assistance",
        "julien.morvan@lumenor.example",
        Role::Agent,
        &[Q::Support, Q::General, Q::Intervention, Q::Billing, Q::Sales, Q::Complaint],
    ),
    staff(
        "Nadia",
        "Belkacem",
        "Ingénieure d’assistance",
        "nadia.belkacem@lumenor.example",
        Role::Agent,
        &[Q::Support, Q::General, Q::Intervention, Q::Billing, Q::Sales, Q::Complaint],
    ),
    staff(
        "Thomas",
        "Guérin",
        "Technicien itinérant",
        "thomas.guerin@lumenor.example",
        Role::Agent,
        &[Q::Support, Q::General, Q::Intervention, Q::Billing, Q::Sales, Q::Complaint],
    ),
    staff(
        "Agnès",
        "Delmas",
        "Déléguée à la protection des données",
        "agnes.delmas@lumenor.example",
        Role::PrivacyOfficer,
        &[],
    ),
];

/// The customers, each with its people and its sites.
pub const ORGANISATIONS: &[Company] = &[
    Company {
        name: "Fonderies du Vercors",
        address: "14 rue des Hauts-Fourneaux",
        postal_code: "38170",
        city: "Seyssinet-Pariset",
        country: "FR",
        vat_number: "",
        telephone: "+33 1 99 00 52 10",
        language: Fr,
        members: &[
            customer(
                "Claire",
                "Lefèvre",
                "Directrice financière",
                "claire.lefevre@fonderies-vercors.example",
                "+33 1 99 00 52 11",
                Fr,
                Role::Manager,
            ),
            customer(
                "Marc",
                "Antonelli",
                "Responsable informatique",
                "marc.antonelli@fonderies-vercors.example",
                "+33 1 99 00 52 12",
                Fr,
                Role::Manager,
            ),
            customer(
                "Sophie",
                "Garnier",
                "Comptable",
                "sophie.garnier@fonderies-vercors.example",
                "+33 1 99 00 52 13",
                Fr,
                Role::Employee,
            ),
            customer(
                "Yanis",
                "Haddad",
                "Chef d’atelier",
                "yanis.haddad@fonderies-vercors.example",
                "+33 1 99 00 52 14",
                Fr,
                Role::Employee,
            ),
            customer(
                "Isabelle",
                "Roux",
                "Acheteuse",
                "isabelle.roux@fonderies-vercors.example",
                "+33 1 99 00 52 15",
                Fr,
                Role::Employee,
            ),
            customer(
                "Paul",
                "Chevallier",
                "Contrôleur de gestion",
                "paul.chevallier@fonderies-vercors.example",
                "+33 1 99 00 52 16",
                Fr,
                Role::Employee,
            ),
        ],
        sites: &[
            Place {
                name: "Siège de Seyssinet",
                address: "14 rue des Hauts-Fourneaux\n38170 Seyssinet-Pariset",
                person_in_charge: "Marc Antonelli",
                telephone: "+33 1 99 00 52 12",
                environment: "Production",
                operating_system: "Windows Server 2025",
                products: &[("Lumenor Gestion", "12.4.1"), ("Lumenor Paie", "12.4.0")],
                components: &[("PostgreSQL", "16.4"), ("Java", "21.0.5")],
            },
            Place {
                name: "Atelier de Voreppe",
                address: "3 impasse du Canal\n38340 Voreppe",
                person_in_charge: "Yanis Haddad",
                telephone: "+33 1 99 00 52 14",
                environment: "Postes d’atelier",
                operating_system: "Windows 11",
                products: &[("Lumenor Atelier", "12.3.7")],
                components: &[("Lecteur de codes-barres", "2.1")],
            },
        ],
    },
    Company {
        name: "Clinique Sainte-Odile",
        address: "27 quai des Bateliers",
        postal_code: "67000",
        city: "Strasbourg",
        country: "FR",
        vat_number: "",
        telephone: "+33 1 99 00 61 00",
        language: Fr,
        members: &[
            customer(
                "Émilie",
                "Schneider",
                "Directrice administrative",
                "emilie.schneider@sainte-odile.example",
                "+33 1 99 00 61 01",
                Fr,
                Role::Manager,
            ),
            customer(
                "Olivier",
                "Kessler",
                "Responsable des systèmes",
                "olivier.kessler@sainte-odile.example",
                "+33 1 99 00 61 02",
                Fr,
                Role::Manager,
            ),
            customer(
                "Fatou",
                "Diallo",
                "Gestionnaire de paie",
                "fatou.diallo@sainte-odile.example",
                "+33 1 99 00 61 03",
                Fr,
                Role::Employee,
            ),
            customer(
                "Laurent",
                "Meyer",
                "Économe",
                "laurent.meyer@sainte-odile.example",
                "+33 1 99 00 61 04",
                Fr,
                Role::Employee,
            ),
            customer(
                "Chloé",
                "Weber",
                "Assistante de direction",
                "chloe.weber@sainte-odile.example",
                "+33 1 99 00 61 05",
                Fr,
                Role::Employee,
            ),
            customer(
                "Bruno",
                "Fischer",
                "Technicien",
                "bruno.fischer@sainte-odile.example",
                "+33 1 99 00 61 06",
                Fr,
                Role::Employee,
            ),
        ],
        sites: &[Place {
            name: "Clinique, bâtiment A",
            address: "27 quai des Bateliers\n67000 Strasbourg",
            person_in_charge: "Olivier Kessler",
            telephone: "+33 1 99 00 61 02",
            environment: "Production",
            operating_system: "Debian 12",
            products: &[("Lumenor Paie", "12.4.1"), ("Lumenor Gestion", "12.2.9")],
            components: &[("PostgreSQL", "15.8"), ("Firefox ESR", "140.5")],
        }],
    },
    Company {
        name: "Transports Kerleau",
        address: "Zone de Kergaradec, 8 rue Amiral-Nielly",
        postal_code: "29850",
        city: "Gouesnou",
        country: "FR",
        vat_number: "",
        telephone: "+33 1 99 00 73 00",
        language: Fr,
        members: &[
            customer(
                "Gaëlle",
                "Kerleau",
                "Gérante",
                "gaelle@transports-kerleau.example",
                "+33 1 99 00 73 01",
                Fr,
                Role::Manager,
            ),
            customer(
                "Ronan",
                "Le Bihan",
                "Exploitation",
                "ronan.lebihan@transports-kerleau.example",
                "+33 1 99 00 73 02",
                Fr,
                Role::Employee,
            ),
            customer(
                "Maïwenn",
                "Corre",
                "Facturation",
                "maiwenn.corre@transports-kerleau.example",
                "+33 1 99 00 73 03",
                Fr,
                Role::Employee,
            ),
            customer(
                "Erwan",
                "Tanguy",
                "Parc et entretien",
                "erwan.tanguy@transports-kerleau.example",
                "+33 1 99 00 73 04",
                Fr,
                Role::Employee,
            ),
            customer(
                "Nolwenn",
                "Salaün",
                "Ressources humaines",
                "nolwenn.salaun@transports-kerleau.example",
                "+33 1 99 00 73 05",
                Fr,
                Role::Employee,
            ),
            customer(
                "Yves",
                "Penn",
                "Chef de quai",
                "yves.penn@transports-kerleau.example",
                "+33 1 99 00 73 06",
                Fr,
                Role::Employee,
            ),
        ],
        sites: &[
            Place {
                name: "Dépôt de Gouesnou",
                address: "8 rue Amiral-Nielly\n29850 Gouesnou",
                person_in_charge: "Yves Penn",
                telephone: "+33 1 99 00 73 06",
                environment: "Bureau",
                operating_system: "Windows 11",
                products: &[("Lumenor Gestion", "12.4.1")],
                components: &[("SQL Server", "2022")],
            },
            Place {
                name: "Quai de Morlaix",
                address: "2 route du Port\n29600 Morlaix",
                person_in_charge: "Erwan Tanguy",
                telephone: "+33 1 99 00 73 04",
                environment: "Tablettes de quai",
                operating_system: "Android 15",
                products: &[("Lumenor Mobile", "4.8.2")],
                components: &[("Android System WebView", "142")],
            },
        ],
    },
    Company {
        name: "Harbour & Finch Ltd",
        address: "41 Prince Street",
        postal_code: "BS1 4PS",
        city: "Bristol",
        country: "GB",
        vat_number: "",
        telephone: "+44 117 496 0100",
        language: En,
        members: &[
            customer(
                "Alice",
                "Finch",
                "Managing director",
                "alice.finch@harbour-finch.example",
                "+44 117 496 0101",
                En,
                Role::Manager,
            ),
            customer(
                "Daniel",
                "Okafor",
                "IT manager",
                "daniel.okafor@harbour-finch.example",
                "+44 117 496 0102",
                En,
                Role::Manager,
            ),
            customer(
                "Priya",
                "Nair",
                "Payroll officer",
                "priya.nair@harbour-finch.example",
                "+44 117 496 0103",
                En,
                Role::Employee,
            ),
            customer(
                "Tom",
                "Whitfield",
                "Warehouse lead",
                "tom.whitfield@harbour-finch.example",
                "+44 117 496 0104",
                En,
                Role::Employee,
            ),
            customer(
                "Grace",
                "Mulholland",
                "Accounts",
                "grace.mulholland@harbour-finch.example",
                "+44 117 496 0105",
                En,
                Role::Employee,
            ),
            customer(
                "Owen",
                "Price",
                "Buyer",
                "owen.price@harbour-finch.example",
                "+44 117 496 0106",
                En,
                Role::Employee,
            ),
        ],
        sites: &[Place {
            name: "Bristol office",
            address: "41 Prince Street\nBristol BS1 4PS",
            person_in_charge: "Daniel Okafor",
            telephone: "+44 117 496 0102",
            environment: "Production",
            operating_system: "Ubuntu 24.04",
            products: &[("Lumenor Gestion", "12.4.0"), ("Lumenor Paie", "12.3.5")],
            components: &[("PostgreSQL", "16.2"), ("Chrome", "142")],
        }],
    },
];
