ago-now = à l’instant
ago-minutes = { $count ->
    [one] il y a { $count } minute
   *[other] il y a { $count } minutes
}
ago-hours = { $count ->
    [one] il y a { $count } heure
   *[other] il y a { $count } heures
}
ago-days = { $count ->
    [one] il y a { $count } jour
   *[other] il y a { $count } jours
}
lasting-now = moins d’une minute
lasting-minutes = { $count ->
    [one] { $count } minute
   *[other] { $count } minutes
}
lasting-hours = { $count ->
    [one] { $count } heure
   *[other] { $count } heures
}
lasting-days = { $count ->
    [one] { $count } jour
   *[other] { $count } jours
}
size-bytes = { $count } o
size-kilobytes = { $count } ko
size-megabytes = { $count } Mo
size-gigabytes = { $count } Go

shell-skip = Aller au contenu
shell-menu = Menu
shell-navigation = Navigation principale
shell-side = Informations complémentaires
shell-footer = À propos de ce site
shell-language = Langue
shell-breadcrumb = Vous êtes ici
shell-person-menu = Menu de { $name }
shell-sign-in = Se connecter
shell-sign-out = Se déconnecter
shell-banner = À propos de cette installation
shell-close = Fermer
shell-cancel = Annuler
shell-consent = Diagnostic en cours
shell-consent-stop = Arrêter maintenant
shell-acting = Vous agissez pour { $name }
shell-acting-nobody = Vous n’agissez pour aucune organisation
theme-label = Apparence
theme-system = Système
theme-light = Claire
theme-dark = Sombre
shortcuts-title = Raccourcis clavier
shortcuts-move = Suivant, précédent dans la liste
shortcuts-open = Ouvrir ce qui est sélectionné
shortcuts-palette = Trouver une action ou une page
shortcuts-leave = Quitter un champ, fermer une fenêtre
shortcuts-on = Utiliser les raccourcis d’une seule touche
palette-label = Trouver une action ou une page
palette-none = Rien ne porte ce nom.
pager-label = Pages
pager-newer = Précédents
pager-older = Suivants
message-note = Note interne
message-agent = Support
message-quoted = Afficher le texte cité
meeting-told = Une réunion
meeting-invitation = Invitation à une réunion
meeting-answer = Réponse à une invitation
meeting-cancelled = Réunion annulée
meeting-counter = Autre horaire proposé pour une réunion
meeting-when = Quand
meeting-from-to = { $start } – { $end }
meeting-days = { $first } – { $last }
meeting-local = { $start } (heure de l’expéditeur)
meeting-local-in = { $start } (heure de l’expéditeur : { $zone })
meeting-in-zone = { $time } ({ $zone })
meeting-more = Autres réunions
meeting-more-count = { $count ->
    [one] Une autre, dans le fichier joint
   *[other] { $count } autres, dans le fichier joint
}
meeting-repeats = Se répète
meeting-repeats-yes = Oui ; le fichier joint dit quand
meeting-where = Où
meeting-organiser = Organisateur
meeting-who-answers = Réponse de
meeting-answers = Réponses
meeting-source = Source
meeting-source-file = Le fichier joint à ce message, que personne n’a vérifié
meeting-accepted = Acceptée
meeting-tentative = Peut-être
meeting-declined = Refusée
meeting-delegated = Quelqu’un d’autre viendra
meeting-count-accepted = { $count ->
    [one] { $count } accepte
   *[other] { $count } acceptent
}
meeting-count-tentative = { $count } peut-être
meeting-count-declined = { $count ->
    [one] { $count } refuse
   *[other] { $count } refusent
}
meeting-count-open = { $count } sans réponse
attachments-label = Fichiers joints
form-mandatory = Les champs marqués d’un * sont obligatoires.
form-errors = { $count ->
    [one] Un point est à corriger :
   *[other] { $count } points sont à corriger :
}
select-choose = Choisir…
files-drop = ou déposez-les ici, ou collez une capture d’écran
files-remove = Retirer
status-waiting-for-us = À traiter
status-waiting-for-customer = Attente client
status-snoozed = En pause
status-closed = Clos
customer-status-waiting-for-us = Nous nous en occupons
customer-status-waiting-for-customer = Votre réponse est attendue
customer-status-closed = Close
priority-urgent = Urgente
priority-high = Haute
priority-low = Basse
queue-support = Assistance
queue-sales = Service commercial
queue-general = Questions générales
queue-billing = Facturation
queue-complaint = Réclamations
queue-privacy = Données personnelles
queue-intervention = Interventions

nav-home = Accueil
nav-new-request = Nouvelle demande
nav-requests = Mes demandes
nav-account = Mon compte
nav-tickets = Tickets
nav-new-ticket = Saisir un ticket
nav-planned-answers = Réponses prévues
nav-search = Rechercher dans les tickets
nav-people = Personnes
nav-organisations = Organisations
nav-queues = Files
nav-mailboxes = Boîtes aux lettres
nav-roles = Rôles
nav-settings = Réglages
nav-unprocessed-mail = Courrier à traiter
nav-outgoing-mail = Courrier sortant
nav-status = État
nav-ledger = Journal des preuves
nav-group-desk = Assistance
nav-group-directory = Annuaire
nav-group-installation = Installation
demo-banner = Démonstration : camille.renaud@lumenor.example (assistance), claire.lefevre@fonderies-vercors.example (cliente), helene.vasseur@lumenor.example (administration). Mot de passe pour tous : accord-demonstration. Les courriers restent dans des fichiers.
save = Enregistrer
yes = oui
no = non
language-fr = Français
language-en = Anglais
list-first = Début de la liste
list-next = Suite
list-nothing-found = Rien ne correspond
list-nothing-found-hint = Vérifiez l’orthographe, ou retirez un critère.
filter-label = Critères de la liste
filter-all = Tous
filter-apply = Filtrer
filter-clear = Retirer les critères
filter-name = Début du nom
filter-person = Début du nom ou de l’adresse
remove-sure = « { $name } » sera supprimé. C’est définitif.
said-saved = C’est enregistré.
said-round-trip-sent = Le courriel d’essai est en route.
said-round-trip-under-way = Un courriel d’essai de cette boîte est déjà en route.
said-round-trip-stays-here = Ici le courrier va dans des fichiers et ne sort pas : rien ne revient. Réglez d’abord mail.smtp.host.
said-removed = C’est supprimé.
said-invited = L’invitation part par courrier électronique.
business-prospect = Prospect
business-customer = Client
person-no-address = Pas d’adresse électronique
business-operator = Notre société
business-former = Ancien client
nav-development-mail = Courrier de développement
