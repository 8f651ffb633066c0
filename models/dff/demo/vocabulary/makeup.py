"""Phrases of the topic makeup; the format stands in `dff.demo.vocabulary`."""

TEXT = """
endings: in five minutes | for hooded eyes | on the bus | with drugstore products | before the first coffee | for sensitive skin
    | in bathroom light | at forty-five
lengths: 12 55

# eyeliner
things: a wing drawn with tape | graphic liner in cobalt blue | the liner that survives tears | a soft brown cat eye
acts: matching both wings on the first try | drawing liner with a shaky hand | smudging kohl like my aunt
    | painting white liner on dark lids
tips: draw the wing with open eyes | connect the dots with short strokes | clean the edge with concealer
es: delinear los ojos sin temblar
de: einen geraden Lidstrich ziehen
fr: tracer un trait d'eye-liner parfait
pt: fazer um delineado gatinho

# skin prep
things: a base that never pills | the two-minute glow routine | sunscreen under foundation | dry patches in January
acts: layering serum under foundation | calming red cheeks before makeup | massaging my face with cold spoons
    | testing primers on one cheek each
tips: wait a minute after the moisturiser | press the foundation in with your fingers | patch test behind your ear
es: preparar la piel antes del maquillaje
de: die Haut auf das Make-up vorbereiten
fr: préparer la peau avant le maquillage
pt: preparar a pele antes da maquiagem

# stage looks
things: a silver moon face for the theatre | glitter that reads from the back row | a dragon made of face paint | my first drag brow
acts: gluing rhinestones along a cheekbone | turning my sister into a lizard | removing stage paint with oil
    | ageing an actor by fifty years
tips: glue down the brows first | seal the glitter with a mist | exaggerate every shadow for the stage
es: pintar una cara de fantasía
de: ein Fantasiegesicht schminken
fr: peindre un visage de fée
pt: pintar um rosto de fantasia

# everyday look
things: one lipstick, three ways | the no-makeup look that takes makeup | cream blush on freckles | an office face for early trains
acts: doing my face with one brush | blending blush with a damp sponge | colour-matching foundation in daylight
    | curling lashes with a warm spoon
tips: tap the concealer, never rub it | start the blush above the cheek | match foundation to your neck
es: lograr un maquillaje con tres productos
de: einen Alltagslook mit drei Produkten schminken
fr: réaliser un maquillage avec trois produits
pt: fazer maquiagem com três produtos

# nails
things: tiny strawberries on short nails | a chrome manicure at home | the French tip with a rubber band | marbled nails in a water glass
acts: painting daisies with a toothpick | filing nails into soft almonds | saving a chipped manicure | swirling two polishes into galaxies
tips: file in one direction only | cap the edge with top coat | oil your cuticles every night
es: pintar flores en las uñas
de: kleine Blumen auf die Nägel malen
fr: dessiner des fleurs sur les ongles
pt: pintar flores nas unhas
"""
