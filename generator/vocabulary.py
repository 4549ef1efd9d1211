"""The values of generated orders.

A seed must always give the same bytes, and any change of a table changes the streams of all seeds.
"""

from typing import Final, NamedTuple


class Place(NamedTuple):
    """A city with matching details. `zip_digits` and `phone_digits` are numbers of random digits."""

    city: str
    region: str
    street: str
    zip_prefix: str
    zip_digits: int
    phone_prefix: str
    phone_digits: int
    currency: str
    locale: str


class Product(NamedTuple):
    """`price` is in minor units; `sizes` are the sizes in stock."""

    nm_id: int
    name: str
    brand: str
    price: int
    sizes: tuple[str, ...]


PLACES: Final = (
    Place("Kiryat Mozkin", "Kraiot", "Ploshad Mira", "", 7, "+9725", 8, "ILS", "he"),
    Place("Berlin", "Berlin", "Schönhauser Allee", "10", 3, "+4915", 9, "EUR", "de"),
    Place("München", "Bayern", "Müllerstraße", "80", 3, "+4917", 9, "EUR", "de"),
    Place("Paris", "Île-de-France", "Rue de l'Église", "750", 2, "+336", 8, "EUR", "fr"),
    Place("Lyon", "Auvergne-Rhône-Alpes", "Rue Émile-Zola", "690", 2, "+337", 8, "EUR", "fr"),
    Place("Madrid", "Comunidad de Madrid", "Calle de Alcalá", "280", 2, "+346", 8, "EUR", "es"),
    Place("Kraków", "Małopolskie", "ulica Długa", "31-", 3, "+485", 8, "PLN", "pl"),
    Place("Stockholm", "Stockholms län", "Södra Förstadsgatan", "11", 3, "+467", 8, "SEK", "sv"),
    Place("København", "Hovedstaden", "Østerbrogade", "21", 2, "+45", 8, "DKK", "da"),
    Place("Reykjavík", "Höfuðborgarsvæðið", "Skólavörðustígur", "10", 1, "+354", 7, "ISK", "is"),
    Place("London", "Greater London", "Coldharbour Lane", "SW9 ", 1, "+447", 9, "GBP", "en"),
    Place("Portland", "Oregon", "SE Hawthorne Blvd", "972", 2, "+1503", 7, "USD", "en"),
    Place("Austin", "Texas", "South Congress Ave", "787", 2, "+1512", 7, "USD", "en"),
    Place("Montréal", "Québec", "Boulevard Saint-Laurent", "H2X 1", 1, "+1514", 7, "CAD", "fr"),
    Place("São Paulo", "SP", "Rua Consolação", "013", 5, "+5511", 9, "BRL", "pt"),
    Place("İstanbul", "Marmara", "İstiklal Caddesi", "34", 3, "+905", 9, "TRY", "tr"),
    Place("Αθήνα", "Αττική", "Οδός Ερμού", "105", 2, "+3069", 8, "EUR", "el"),
    Place("Тбилиси", "Тбилиси", "проспект Руставели", "01", 2, "+9955", 8, "GEL", "ru"),
    Place("Алматы", "Алматинская область", "улица Абая", "0500", 2, "+770", 8, "KZT", "ru"),
    Place("Київ", "Київська область", "вулиця Хрещатик", "01", 3, "+3805", 8, "UAH", "uk"),
    Place("東京", "東京都", "神宮前", "150-", 4, "+8190", 8, "JPY", "ja"),
    Place("서울", "서울특별시", "테헤란로", "06", 3, "+8210", 8, "KRW", "ko"),
)

FIRST_NAMES: Final = (
    "Anna", "Ben", "Chloé", "David", "Elif", "Fatima", "Georgi", "Hana", "Igor", "José", "Katarzyna", "Liam", "Мария",
    "Noam", "Олена", "Pedro", "Renée", "Søren", "Tomás", "Νίκη", "Wei", "Yuki", "Zoë", "D'Arcy",
)  # fmt: skip

LAST_NAMES: Final = (
    "Andersson", "Bauer", "Cohen", "Delacroix", "Ekström", "Ferreira", "García", "Hansen", "Ivanov", "Jónsdóttir",
    "Kowalski", "Lévy", "Müller", "Nakamura", "O'Brien", "Παππάς", "Петренко", "Rossi", "Smith-Jones", "Takahashi",
    "Ünal", "van der Berg", "김", "Øvergaard",
)  # fmt: skip

MAIL_DOMAINS: Final = ("example.com", "example.org", "mail.example.net", "post.example.co.uk", "shop.local")

CLOTHES: Final = ("XS", "S", "M", "L", "XL")
SHOES: Final = ("37", "38", "39.5", "41", "44")
ONE_SIZE: Final = ("0",)

PRODUCTS: Final = (
    Product(2389212, "Mascaras", "Vivienne Sabo", 45300, ONE_SIZE),
    Product(2389307, "Lip balm, cherry", "Vivienne Sabo", 24900, ONE_SIZE),
    Product(3120455, "Wool jumper", "Nordlys", 799900, CLOTHES),
    Product(3120460, "Linen shirt", "Nordlys", 459000, CLOTHES),
    Product(3120588, 'T-shirt "Aurora"', "Nordlys", 179000, CLOTHES),
    Product(4418003, "Trail running shoes", "Kestrel & Sons", 1249900, SHOES),
    Product(4418127, "Leather boots", "Kestrel & Sons", 1899900, SHOES),
    Product(5002771, "Cast iron pan 26 cm", "Fonderie du Lac", 389900, ONE_SIZE),
    Product(5002900, "Set of 6 glasses", "Fonderie du Lac", 219900, ONE_SIZE),
    Product(6113254, "USB-C cable 2 m", "Voltaik", 69900, ONE_SIZE),
    Product(6113301, "Wireless earphones", "Voltaik", 549000, ONE_SIZE),
    Product(6113777, "Desk lamp 5/7 W", "Voltaik", 329000, ONE_SIZE),
    Product(7240018, "Notebook A5, dotted", "Papír", 49900, ONE_SIZE),
    Product(7240022, "Fountain pen", "Papír", 289900, ONE_SIZE),
    Product(8055102, "Rain jacket", "Größenwahn", 999000, CLOTHES),
    Product(8055340, "Socks, 3 pairs", "Größenwahn", 99900, CLOTHES),
    Product(9301444, "Кружка «Утро»", "Гжель", 129900, ONE_SIZE),
    Product(9301502, "Чайник эмалированный", "Гжель", 349900, ONE_SIZE),
    Product(9934511, "抹茶セット", "宇治園", 429900, ONE_SIZE),
    Product(9934930, "Yoga mat 🧘", "Lotus", 259900, ONE_SIZE),
)

ITEM_COUNTS: Final = (1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6)
"""All equally likely: an order has 3 items on average."""

SALES: Final = (0, 0, 0, 5, 10, 15, 20, 30, 50, 70)
STATUSES: Final = (200, 201, 202, 202, 202, 204)
DELIVERY_COSTS: Final = (0, 0, 29900, 49900, 150000)
CUSTOM_FEES: Final = (0, 0, 0, 0, 0, 0, 0, 12500)
PROVIDERS: Final = ("wbpay", "wbpay", "paypal", "stripe", "adyen")
BANKS: Final = ("alpha", "sber", "n26", "revolut", "mono", "citi")
DELIVERY_SERVICES: Final = ("meest", "dhl", "dpd", "postnord", "ups", "cdek")
FRACTIONS: Final = ("", "", "", "", "", "", ".5", ".042", ".120000", ".000001")
ZONES: Final = ("Z", "Z", "Z", "Z", "Z", "Z", "Z", "+03:00", "-05:30", "+00:00")
