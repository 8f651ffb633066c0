"""Phrases of the topic gaming; the format stands in `dff.demo.vocabulary`."""

TEXT = """
endings: at two in the morning | on one life | on a borrowed laptop | with the sound off | against my little brother
    | without reading the tutorial | on the hardest setting | with a broken controller
lengths: 12 60

# speedruns
things: a wall clip that saves nine seconds | the run that died at the final boss | a world record by two frames
    | any percent in a broken platformer
acts: skipping the whole second level | grinding one jump for four hours | losing a record to a loading screen
    | routing a forgotten platform game
tips: buffer the jump before the door | record every attempt | practise the last split first
es: batir mi marca en el primer nivel
de: den ersten Level in Rekordzeit schaffen
fr: battre mon record au premier niveau
pt: bater meu recorde na primeira fase

# cosy games
things: a farm with far too many ducks | the gentlest fishing game | a rainy village in pixel art | my tiny virtual tea shop
acts: decorating a virtual cottage | befriending every villager | sorting seashells in a cosy game | growing pixel pumpkins all winter
tips: water the crops before the festival | give the fisherman his favourite pie | build the greenhouse early
es: cuidar una granja virtual
de: eine kleine Pixelfarm aufbauen
fr: cultiver une ferme virtuelle
pt: cuidar de uma fazenda virtual

# building games
things: a castle made of glass blocks | the bridge that held one cart | a working clock inside a block game | our server's underwater city
acts: building a cathedral block by block | automating a pixel factory | flooding my own base by accident
    | designing a roller coaster on a cliff
tips: light the corners of your base | plan the roof before the walls | copy shapes from real bridges
es: construir un castillo bloque a bloque
de: Block für Block eine Burg bauen
fr: construire un château bloc par bloc
pt: construir um castelo bloco a bloco

# retro
things: a handheld console from a flea market | the boss music of my childhood | a cartridge that still saves | eight-bit sunsets
acts: cleaning a dusty cartridge slot | beating a childhood game thirty years later | repairing a worn-out joystick
    | hooking a console up to a tube television
tips: clean the contacts with alcohol | listen for the hidden room | write the passwords on paper
es: terminar un juego de mi infancia
de: ein Spiel aus meiner Kindheit durchspielen
fr: finir un jeu de mon enfance
pt: zerar um jogo da minha infância

# strategy
things: a four-minute rush that works | the worst opening in turn-based history | an empire with one city | the sneakiest truce ever
acts: bluffing my way to a draw | defending a base with farmers only | conquering a map with diplomacy | micromanaging one brave archer
tips: scout before you expand | hold the high ground | trade iron for time
es: defender la base con pocos recursos
de: mit wenigen Rohstoffen gewinnen
fr: gagner avec une seule ville
pt: vencer com poucos recursos
"""
