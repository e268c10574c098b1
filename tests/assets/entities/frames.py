"""The sentences of demo:entities before names are put in; no sentence stands in two splits.

{P} is a person, {S} a surname alone, {F} a first name alone. {O} is a company, {U} a school, {H} a
hospital, {T} a club, {B} a public body, {A} an airline, {C} a stage. {L} is a city, {N} a country
or region, {W} a water. {D} is a day, {Y} a month, season or year. A digit behind the letter makes
it another one.
"""

from __future__ import annotations

_TRAIN = """
{P} left {O} in {Y} to open a bakery in {L}.
Shares of {O} fell by nine per cent on {D}.
The ferry from {L} to {L1} was cancelled because of the storm.
"We never promised that," said {P}, who speaks for {O}.
{O} will close its plant in {L} in {Y}.
On {D}, {P} and {P1} were married in a small chapel near {L}.
I met {F} at the station; she had come straight from {L}.
According to {B}, the bridge needs repairs before {Y}.
The novel follows a young clerk who leaves {L} for {L1} and never writes home.
{P} was born in {L} and studied chemistry at {U}.
After three bad seasons {T} has sold its best striker to {T1}.
Nobody at {O} would say why {S} had been dismissed.
It rained all day in {L}, so we stayed in and played cards.
The contract between {O} and {O1} runs until {Y}.
Dear {F}, thank you for the lovely evening on {D}.
A spokesman for {O} declined to comment.
The exhibition opens in {L} on {D} and moves to {L1} in {Y}.
{S} scored twice in the last ten minutes.
Engineers from {U} measured the depth of {W} for the first time.
My grandmother worked for {O} until {Y}.
Please send the invoice to {P} at {O} by {D}.
The mayor of {L}, {P}, has promised cheaper buses.
{O} hired {P} as head of research.
Snow closed the road between {L} and {L1} for two days.
In {Y} the family moved to {L}, where {F} learned to sail.
{P} teaches mathematics at {U}.
The court found that {O} had misled its customers.
Two hikers from {L} were rescued on {D}.
Her first album, recorded in {L}, sold badly.
{P} won the race ahead of {P1} and {P2}.
{O} announced on {D} that it would buy {O1}.
What is the quickest way from {L} to the airport?
Since {Y}, {B} has planted forty thousand trees.
The manuscript was found in {L} among the papers of {P}.
"Ask {F}," he said, "she knows everybody in {L}."
The strike at {A} entered its third week on {D}.
Prices in {N} rose faster than anywhere else.
{P}, a nurse from {L}, has written to {B} four times.
Visitors to {N} should bring a warm coat.
The two companies, {O} and {O1}, have shared a warehouse since {Y}.
{S} joined the board of {O} in {Y}.
On the shore of {W} stands an abandoned hotel.
The vaccine was developed by {P} and her team at {U}.
We are moving our office from {L} to {L1} in {Y}.
Last year's winner, {P}, finished fourth.
{O} said that sales in {L} had doubled.
The trial of {P} begins in {L} on {D}.
He keeps a photograph of {L} above his desk.
Has anybody heard from {F} since {D}?
{B} and the city of {L} have settled their dispute.
The river floods the lower town every spring.
I would rather read than watch television.
Nobody knew who had left the door open.
The soup needs more salt and a little lemon.
She spent the whole afternoon repairing the old radio.
Their flight was delayed for six hours without any explanation.
The committee will meet again after the holidays.
A good pair of boots lasts ten winters.
{P} translated the poems from the original.
Mr {S} lives two doors away from the post office.
Mrs {S} asked {O} for her money back.
Professor {S} of {U} called the results surprising.
Dr {P} will see you on {D}.
A fire destroyed the archive of {C} in {Y}.
The concert in {L} was sold out within an hour.
{N} has asked {N1} to share the cost of the tunnel.
The ship sailed from {L} on {D} and was never seen again.
Farmers in {N} fear another dry summer.
{P} told reporters in {L} that he would not resign.
By {Y} the population of {L} had halved.
{F} and {F1} share a flat in {L}.
{O} has raised its prices twice since {Y}.
Researchers at {U} say that the glacier is shrinking.
The painting was sold to {O} for an undisclosed sum.
{O} is looking for a cook in {L}.
Send your application to {O} before {D}.
When {P} took over, {O} had only six employees.
The border between {N} and {N1} was closed in {Y}.
Critics praised {P} for her role as the widow.
The old railway to {L} follows the coast.
{T} lost to {T1} on penalties.
A letter from {P} to {P1}, dated {D}, came to light in {L}.
We spent {Y} in {N} and did not see a single cloud.
{P} has been mayor since {Y}.
The factory belongs to {O}, which has its seat in {L}.
Police in {L} are looking for a man called {P}.
The minister flew to {N} on {D} for talks with {P}.
"It was the best match of my life," said {S} afterwards.
{O} dismissed two hundred people on {D}.
The museum in {L} is closed until {Y}.
No train runs from {L} on {D}.
{P} inherited the farm from her uncle {P1}.
A survey by {B} asked nine hundred people in {L}.
{F}, could you call {O} about the broken printer?
The recipe comes from {N}, where it is eaten cold.
{S} and {S1} have not spoken to each other since {Y}.
{O} will move its headquarters to {L}.
From {L} it is a two-hour walk to the monastery.
The auditor of {O}, {P}, noticed the error in {Y}.
Children from {L} sang for the guests.
The film was shot in {L} by the director {P}.
Her brother {F} plays the cello in {C}.
Three members of {B} were arrested in {L}.
In a statement on {D}, {A} blamed the weather.
{P} of {O} and {P1} of {O1} signed the agreement.
The lighthouse at {L} was built in {Y}.
I have worked with {P} for years and trust her completely.
At {O} nobody wears a tie any more.
Is {N} worth a visit in {Y}?
The team of {T} trains in {N} every winter.
Volunteers from {B} cleaned the shores of {W} on {D}.
{P} ran for parliament in {Y} and lost.
The new tram in {L} carries nine thousand people a day.
Our guide, {F}, had grown up on the shore of {W}.
{O} paid {P} to keep silent.
The exchange with {L} ended in {Y}, when the money ran out.
Doctors at {H} operated on {S} for seven hours.
Both {L} and {L1} claim to have invented the dish.
{P} retired on {D} after forty years at {H}.
The parcel from {L} arrived on {D}.
Every morning {F} feeds the ducks in the park.
The orchard produces more plums than the family can eat.
He may march in the parade if his knee allows it.
The chairwoman of {B}, {P}, called the vote a disgrace.
{A} flies from {L} to {L1} twice a week.
"""

_VALIDATION = """
{P} resigned from {O} on {D}.
The train to {L} leaves from platform four.
{O} opened its first shop in {L} in {Y}.
"I have nothing to add," {S} told the newspaper.
Two students of {U} won a prize in {L}.
{F} sent us a postcard from {W}.
The dam above {L} was finished in {Y}.
Lawyers for {O} met {P} on {D}.
We had dinner with {P} and {P1} in {L}.
{O} and {O1} want to merge before {Y}.
The wind turned during the night and the fire died down.
A new head teacher, {P}, starts on {D}.
{C} toured {N} for a month.
{S} broke her arm in training.
Heavy rain washed away a road near {L}.
Her book on {N} was published in {Y}.
The union accused {A} of breaking its word.
{P}, who founded {O}, died in {L} on {D}.
Nobody under twelve may ride without a helmet.
Ticket sales for {C} begin on {D}.
{F} has lived in {L} since {Y}.
The committee gave the grant to {U}.
From {L}, {P} took a bus to {L1}.
The apples were sour but the pie was excellent.
A group of doctors from {L} has joined {H}.
The season ends on {D} with a match against {T}.
{P} sold {O} to {O1} in {Y}.
The widow of {P} still lives in {L}.
"""

_TEST = """
{B} named {P} its new director on {D}.
A storm cut the power lines between {L} and {L1}.
{P} grew up in {L}, the daughter of a fisherman.
In {Y}, {O} had to let half of its staff go.
"The figures speak for themselves," said {P} of {O}.
The pianist {P} cancelled her recital in {L}.
{S} was carried off the field with an injured ankle.
Workers at {O} in {L} voted for the new contract on {D}.
My cousin {F} is staying with us until {D}.
{O} has sold its warehouse in the harbour of {L}.
Not everyone in {L} is happy about the cable car.
The inquiry, led by {P}, will report in {Y}.
We took the night bus from {L} and slept badly.
{P} and {P1} wrote the song in a single afternoon.
Customers of {O} could not reach anybody on {D}.
A plaque in {L} remembers {P}, who drew the first maps of {L1}.
{O} denied that it had spoken to {O1}.
The lecture by {P} at {U} is open to all.
The house has been empty since {Y}.
Volcanic ash forced {A} to cancel flights to {L}.
Did {F} ever tell you why she left {L}?
{P} bought the painting for {O} in {Y}.
The kettle whistled and the cat fled under the sofa.
Divers found the wreck off {N} on {D}.
The goalkeeper of {T}, {P}, saved two penalties.
Mr {S} taught at {U} until {Y}.
{N} and {N1} will host the games together.
"Meet me in {L} on {D}," the note said.
A judge in {L} ordered {O} to pay the costs.
The firm, now called {O}, was started by {P} in a garage.
{P} beat {P1} in the final on {D}.
Thousands of storks rest at {W} on their way south.
The recording by {C} was made in {L} in {Y}.
{F}, {F1} and I walked along {W} for a week.
The chef {P} will open a second restaurant in {L}.
{O} expects to hire ninety people in {Y}.
It was {S} who first noticed the crack in the wall.
The archives of {U} go back to {Y}.
On {D} a lorry overturned near {L}.
The best seats are next to the window.
She counted the coins twice before she paid.
The report by {B} names {P} and {S}.
Both sides agreed to meet in {L} again in {Y}.
Passengers bound for {L} should change trains here.
{P}, aged ninety, still swims in {L} every morning.
{H} thanked {P} for her long service.
The bakery on the corner sells bread from {L}.
Students at {U} have occupied the library since {D}.
"""

FRAMES: dict[str, list[str]] = {
    "train": _TRAIN.strip().splitlines(),
    "validation": _VALIDATION.strip().splitlines(),
    "test": _TEST.strip().splitlines(),
}
