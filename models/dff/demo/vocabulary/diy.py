"""Phrases of the topic diy; the format stands in `dff.demo.vocabulary`."""

TEXT = """
endings: in a rented flat | with hand tools only | for under twenty coins | in one weekend | without waking the baby
    | on the second attempt | from scrap wood | before the landlord visits
lengths: 20 85

# woodwork
things: a dovetail joint cut by hand | a stool without a single screw | the wobbliest table I ever made | a spoon carved from a branch
acts: planing a twisted board flat | turning a bowl from firewood | sharpening a rusty chisel | gluing up a walnut tabletop
tips: measure from the same edge | clamp a scrap block behind the cut | sand along the grain
es: tallar una cuchara de madera
de: einen Löffel aus Holz schnitzen
fr: sculpter une cuillère en bois
pt: esculpir uma colher de madeira

# painting
things: a perfectly straight paint edge | a half-painted hallway | the green wall I regret | a ceiling without roller marks
acts: painting stripes with a laser level | stripping six layers of old paint | repainting kitchen cabinets
    | mixing the last of three paint tins
tips: seal the tape with the old colour | roll from wet to dry | wash the walls before painting
es: pintar una pared sin manchas
de: eine Wand ohne Streifen streichen
fr: peindre un mur sans traces
pt: pintar uma parede sem manchas

# upcycling
things: a lamp from an old ladder | the dresser from the kerb | a bench made of two chairs | jam jars with a second life
acts: turning a door into a desk | rescuing a broken chair from the street | weaving a seat from old belts
    | making planters out of drawers
tips: check old furniture for woodworm | sand the varnish before you paint | swap the handles first
es: restaurar una silla de la calle
de: einen Stuhl vom Sperrmüll retten
fr: restaurer une chaise trouvée dans la rue
pt: reformar uma cadeira velha

# plumbing
things: a tap that dripped for a year | the mystery under our sink | a blocked shower drain | one washer and ten minutes
acts: replacing a tap without flooding the flat | unblocking a sink with a bent hanger | bleeding a cold radiator
    | sealing a shower tray again
tips: close the valve before you start | take a photo before dismantling | wrap the thread clockwise
es: arreglar un grifo que gotea
de: einen tropfenden Wasserhahn reparieren
fr: réparer un robinet qui fuit
pt: consertar uma torneira que pinga

# tiling
things: a crooked splashback, fixed | leftover tiles on a side table | the grout colour that changed everything
    | a mosaic step for the garden
acts: cutting tiles around a socket | laying hexagon tiles in a tiny bathroom | regrouting a shower by hand | breaking plates for a mosaic
tips: start tiling from the centre line | soak the sponge, then wring it twice | leave a gap at the edges
es: colocar azulejos en el baño
de: das kleine Bad neu fliesen
fr: poser du carrelage dans la salle de bains
pt: assentar azulejos no banheiro
"""
