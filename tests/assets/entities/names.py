"""Names for the sentences of demo:entities; a name belongs to one split, so test names are new.

People and organisations are invented; places are real.
"""

from __future__ import annotations

NAMES: dict[str, dict[str, str]] = {
    "train": {
        "first": """Amara; Bruno; Celine; Dario; Elif; Farid; Greta; Hamish; Ines; Joris;
            Keiko; Lorenzo; Maeve; Nikolai; Odile; Pavel; Rosa; Samir; Tova; Ulrich;
            Veronika; Wanjiru; Xavier; Yasmin; Zoltan; Aoife; Bilal; Carmen; Dmitri;
            Esther; Fatou; Gustav; Hana; Ivo; Jasper; Kwame; Leila; Marta; Nadia;
            Oskar""",
        "last": """Abara; Bergstrom; Castellano; Dvorak; Eriksen; Fontaine; Grabowski;
            Hollis; Ivanova; Jensen; Kowalczyk; Lindqvist; Mbeki-Stone; Novak;
            O'Rourke; Petrov; Quintero; Rahman; Sorensen; Takeda; Underhill;
            Vasquez; Whitlock; Yilmaz; Zeller; Ashworth; Bianchi; Cheung; Drummond;
            Espinoza; Forsythe; Gallagher; Hashemi; Ilves; Jovanovic; Kaplan;
            Lefebvre; Moreau; Nakagawa; Okoro""",
        "companies": """Harrow & Finch; Nordlicht Energy; Tidewater Bank; Orrin Foods; Calder
            Steel; Pinnacle Freight; Saltmarsh Brewing; Meridian Telecom; Quillon
            Press; Vantor Motors; Ostrava Glassworks; Hexagon Robotics; Larkspur
            Media; Ironbridge Railways; Coldwell Pharma; Sunfield Dairies; Delphi
            Insurance; Amberline; Brightwater Trust; Cobalt Systems; Tallis
            Software; Yarrow Publishing; Zephyr Logistics; Monteverde Winery; Alder
            & Sons; Rook Analytics; Stellarcom; Vireo Labs; Basalt Mining; Crestline
            Hotels; Dovetail Furniture; Everly Cosmetics; Flint Radio; Golden Fern
            Tea""",
        "schools": """Dunmore College; Fernhill Academy; Redfern Institute; Wexley University;
            the Institute of Tropical Soils; the University of Brackwater; Saint
            Alban's School; Lowell Polytechnic""",
        "hospitals": """Eastgate Hospital; Whitestone Clinic; the Linden Medical Centre; Mercy
            Lane Hospital""",
        "clubs": """Lakeside United; Rovers of Ashdale; Port Arden Rangers; the Weststead
            Wolves; Calderbank Athletic; Inverlee Thistle""",
        "bodies": """the National Seed Council; the Ministry of Fisheries; the Harbour
            Authority; the Coastal Workers' Union; Thornbury Council; the Green
            Valley Party; the Granite Foundation; Northern Rail Watch; the Chamber
            of Small Trades""",
        "airlines": """Bluecrest Airlines; Kestrel Aviation; Pelican Charter""",
        "stages": """the Marlow Symphony; Umbra Studios; the Lantern Theatre; the Northgate
            Choir""",
        "cities": """Lisbon; Oslo; Marseille; Kyoto; Nairobi; Lima; Gdansk; Porto; Helsinki;
            Toronto; Valencia; Tbilisi; Hanoi; Accra; Bergen; Bologna; Cork;
            Dresden; Edinburgh; Fez; Ghent; Havana; Innsbruck; Jakarta; Krakow;
            Leipzig; Malmo; Naples; Odense; Perth; Quito; Riga; Seville; Tallinn;
            Utrecht; Vilnius; Wellington; Zagreb; Galway; Lagos""",
        "regions": """Norway; Portugal; Kenya; Peru; Vietnam; Morocco; Estonia; Chile; Sicily;
            Brittany; Patagonia; the Black Forest; New Zealand; South Korea;
            Bavaria; Catalonia""",
        "waters": """the Danube; Lake Titicaca; the Baltic Sea; Lake Constance; the Rhine;
            Galway Bay""",
    },
    "validation": {
        "first": """Adrienne; Bashir; Cosima; Desmond; Evander; Freya; Gideon; Henrike;
            Imran; Jolanta; Kofi; Ludmila""",
        "last": """Achterberg; Brannigan; Cordero; Dahlberg; Emerson-Vale; Fitzroy;
            Gutierrez; Halvorsen; Iyer; Jankowski; Karimi; Lombardi""",
        "companies": """Palisade Bank; Wrenfield Books; Tundra Outfitters; Glenrock Distillery;
            Silverpine Records; Magpie Mobile; Corvid Security; Beacon Textiles;
            Juniper Bakery""",
        "schools": """Highmoor College; the Otterburn Institute""",
        "hospitals": """Oakhurst Clinic; Arbor Hospital""",
        "clubs": """Castleton Rangers; Fenwick Harriers""",
        "bodies": """the Society of Bell Founders; the Department of Inland Waterways; the
            League of Amateur Astronomers""",
        "airlines": """Gannet Air; Northway Airlines""",
        "stages": """the Elmwood Singers; the Candlelight Theatre""",
        "cities": """Antwerp; Bilbao; Chania; Dakar; Eindhoven; Freiburg; Graz; Hobart;
            Izmir; Jaipur; Kaunas; Lyon""",
        "regions": """Finland; Uruguay; Tasmania; Cyprus""",
        "waters": """the Rhone; Lake Garda""",
    },
    "test": {
        "first": """Anselm; Beatriz; Cillian; Delphine; Emeka; Fiorella; Gunnar; Hyacinth;
            Ibrahim; Jelena; Kasimir; Liesl; Mahmoud; Ngozi; Orla; Piotr; Rashid;
            Saskia; Tomasz; Ursula""",
        "last": """Albrecht; Bouchard; Cavendish; Delacroix; Engstrom; Ferreira;
            Goldsmith-Adeyemi; Hernandez; Isaksen; Juarez; Kirkland; Lindgren;
            McAllister; Nilsson; Ogunleye; Pereira; Rasmussen; Silvestri; Thackeray;
            Villanueva""",
        "companies": """Copperfield Savings; Mosswood Furniture; Tern & Gannet; Ridgeback
            Motors; Luminara; Kittiwake Press; Ardent Biotech; Blackthorn Cement;
            Evergreen Tyres; Foxglove Interactive; Galleon Insurance; Jadewater
            Shipping; Keystone Optics; Mistral Wind Power; Nettle & Thyme; Quartz
            Payments; Summit Broadcasting""",
        "schools": """Pemberton University; Drayton School of Music; Hartwell Observatory""",
        "hospitals": """Lindenhof Clinic; Bellweather Hospital""",
        "clubs": """Cinderford Town; Ashgrove Albion; the Kelham Hawks""",
        "bodies": """the Board of Rural Roads; the Alpine Rescue Guild; the Ministry of
            Forests; the Railway Pensioners' League""",
        "airlines": """Halcyon Airways; Sandpiper Air""",
        "stages": """Saffron Hill Theatre; the Vesper Quartet""",
        "cities": """Aarhus; Brno; Cadiz; Durban; Exeter; Florence; Gothenburg; Hamburg;
            Istanbul; Johannesburg; Kampala; Ljubljana; Montevideo; Nantes; Osaka;
            Palermo; Rotterdam; Salzburg; Turin; Uppsala; Varna; Winnipeg; Yerevan""",
        "regions": """Iceland; Bolivia; Thailand; Senegal; Corsica; Sri Lanka; Nova Scotia;
            Zanzibar""",
        "waters": """the Loire; Lake Victoria; the Garonne""",
    },
}

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def names_of(split: str) -> dict[str, list[str]]:
    """Return the names of one split by kind."""
    return {
        kind: [" ".join(name.split()) for name in text.split(";")]
        for kind, text in NAMES[split].items()
    }
