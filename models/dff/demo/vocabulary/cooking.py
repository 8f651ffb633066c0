"""Phrases of the topic cooking; the format stands in `dff.demo.vocabulary`."""

TEXT = """
endings: in a tiny kitchen | on a weeknight | with only one pan | after a night shift | for six hungry friends
    | before the guests arrive | while it rains outside | with leftovers from Sunday
lengths: 18 75

# pasta
things: brown butter gnocchi | a carbonara without any cream | one-pot lemon orzo | tomato sauce from tired tomatoes
acts: rolling tagliatelle with a wine bottle | shaping orecchiette with a butter knife | rescuing overcooked spaghetti
    | filling ravioli until midnight
tips: save a cup of the pasta water | finish the pasta in the sauce | toast the garlic slowly
es: hacer pasta fresca en casa
de: frische Pasta selber machen
fr: faire des pâtes fraîches
pt: fazer massa fresca em casa

# baking
things: a loaf with a proper crust | cinnamon rolls without yeast | the flattest sponge cake ever | rye bread from a jar of starter
acts: folding butter into croissant dough | scoring sourdough with a razor blade | decorating cupcakes for a school fair
    | kneading dough by hand
tips: weigh the flour instead of guessing | chill the cookie dough overnight | let the bread cool before cutting
es: hornear pan de masa madre
de: Sauerteigbrot backen
fr: cuire un pain au levain
pt: assar pão de fermentação natural

# street food
things: a paper cone of fried chickpeas | crispy tofu from a cart | the night market's longest queue | grilled corn with lime and chilli
acts: flipping flatbreads on a hot plate | copying the dumplings from our corner stall | eating skewers under a railway bridge
    | squeezing lime over everything
tips: order whatever the locals are holding | crush the peanuts at the last second | ask for the green sauce
es: preparar tacos como en la plaza
de: Streetfood vom Nachtmarkt nachkochen
fr: cuisiner des brochettes comme au marché
pt: preparar petiscos de feira

# knife skills
things: a dull knife and a ripe tomato | the claw grip | paper-thin cucumber slices | a pepper cut without any waste
acts: dicing an onion without tears | sharpening an old kitchen knife | cutting carrots into perfect matchsticks | boning a chicken slowly
tips: curl your fingertips away from the blade | rock the knife through the herbs | put a damp towel under the board
es: cortar cebolla sin llorar
de: Zwiebeln richtig schneiden
fr: émincer un oignon sans pleurer
pt: cortar cebola sem chorar

# breakfast
things: a folded omelette | savoury porridge with chilli oil | pancakes as thick as a book | shakshuka for one
acts: poaching eggs in a whirlpool | packing overnight oats for the week | making hash browns extra crispy | steaming milk for cocoa
tips: whisk the eggs longer than you think | grate a cold potato for rösti | warm the plate first
es: preparar un desayuno rápido
de: Frühstück für die ganze Woche vorbereiten
fr: préparer un petit déjeuner complet
pt: preparar um café da manhã rápido
"""
